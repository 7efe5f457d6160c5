import { readFileSync } from 'node:fs';

/** Used if the limit is unknown: the least that a system in use today grants. */
const LIMIT_DEFAULT = 256;

/**
 * The number of descriptors that this process may have open (`ulimit -n`). Node.js raises its soft
 * limit to the hard one when it starts.
 */
export function openFilesLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const limit = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
    if (limit === 'unlimited') return Number.MAX_SAFE_INTEGER;
    return limit === undefined ? LIMIT_DEFAULT : Number(limit);
  } catch {
    return LIMIT_DEFAULT; // not Linux, or not even a descriptor for this file
  }
}
