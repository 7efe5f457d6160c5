import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { glob, isDynamicPattern } from 'tinyglobby';
import { asError } from '../../core/internal.ts';
import { ConnectError } from '../errors.ts';

/** How many files that a pattern matches are looked at together. */
const CHUNK = 64;

/**
 * Checks that a path, or all that a pattern can match, lies below one of the roots. Links are
 * followed as they are now: whoever may change links below a root may lead out of it.
 *
 * @throws ConnectError PATH_NOT_ALLOWED
 */
export async function checkAllowed(path: string, roots: readonly string[]): Promise<void> {
  if (roots.length === 0) {
    throw refused(path, roots, 'none is allowed: whoever runs the service can allow some roots');
  }
  const real = await realRoots(roots);
  const check = async (each: string): Promise<void> => {
    const target = await realOf(each).catch((cause: unknown) => {
      throw refused(path, roots, asError(cause).message);
    });
    if (real.some((root) => isBelow(target, root))) return;
    const through = target === resolve(each) ? '' : `, which is ${target}`;
    throw refused(path, roots, `${each}${through}, is below none of ${roots.join(', ')}`);
  };
  await check(path);
  if (!isDynamicPattern(path)) return;
  await check(fixedPart(path, (reason) => refused(path, roots, reason)));
  for (const each of await linksIn(path)) await check(each);
}

function isBelow(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/** Roots may be links themselves. One that there is not allows nothing. */
async function realRoots(roots: readonly string[]): Promise<string[]> {
  const found = await Promise.all(roots.map((root) => realpath(root).catch(() => undefined)));
  return found.filter((root) => root !== undefined);
}

/** Where a path leads. What is not there yet lies where its directory leads. */
async function realOf(path: string): Promise<string> {
  const full = resolve(path);
  try {
    return await realpath(full);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
  }
  // A link to nothing would be followed by whoever creates the file.
  const stat = await lstat(full).catch(() => undefined);
  if (stat?.isSymbolicLink() === true) throw new TypeError(`${full} is a link to nothing`);
  return join(await realOf(dirname(full)), basename(full));
}

/** The directories before the first wildcard of a pattern. */
function fixedPart(pattern: string, refuse: (reason: string) => Error): string {
  const parts = pattern.split('/');
  const first = parts.findIndex((part) => isDynamicPattern(part) || !isBalanced(part));
  const wild = first < 0 ? [pattern] : parts.slice(first);
  for (const part of wild) {
    if (!isBalanced(part)) throw refuse('its braces may not go across directories');
    if (/(^|[{(,|])\.\.?($|[}),|])/.test(part)) throw refuse('it leads upwards behind a wildcard');
  }
  const fixed = parts.slice(0, Math.max(first, 0)).join('/');
  if (fixed !== '') return fixed;
  return isAbsolute(pattern) ? sep : '.';
}

function isBalanced(part: string): boolean {
  const count = (sign: RegExp): number => part.match(sign)?.length ?? 0;
  return count(/[{([]/g) === count(/[})\]]/g);
}

/** The files that a pattern matches and that are links, and the directories of all of them. */
async function linksIn(pattern: string): Promise<Set<string>> {
  const names = await glob(pattern, { dot: true, absolute: isAbsolute(pattern) });
  const found = new Set(names.map((name) => dirname(name)));
  for (let start = 0; start < names.length; start += CHUNK) {
    const chunk = names.slice(start, start + CHUNK);
    const stats = await Promise.all(chunk.map((name) => lstat(name).catch(() => undefined)));
    for (const [index, stat] of stats.entries()) {
      if (stat?.isSymbolicLink() === true) found.add(chunk[index]!);
    }
  }
  return found;
}

function refused(path: string, roots: readonly string[], reason: string): ConnectError {
  const message = `the path ${path} is not allowed: ${reason}`;
  return new ConnectError('PATH_NOT_ALLOWED', message, { path, roots });
}
