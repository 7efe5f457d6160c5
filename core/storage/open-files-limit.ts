import { readFileSync } from 'node:fs';

/** Where the system does not say: the least that a system in use today grants. */
const LIMIT_DEFAULT = 256;

/**
 * How many descriptors this process may have open (`ulimit -n`). Node.js raises its soft limit to
 * the hard one when it starts.
 */
export function openFilesLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const limit = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
    if (limit === 'unlimited') return Number.MAX_SAFE_INTEGER;
    return limit === undefined ? LIMIT_DEFAULT : Number(limit);
  } catch {
    return LIMIT_DEFAULT; // no Linux, or not even a descriptor for this file
  }
}
