import { basename, dirname, join } from 'node:path';
import {
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  INDEX_SUFFIXES,
  LOG_SUFFIX,
  offsetName,
  SEGMENT_SUFFIXES,
  SWAP_SUFFIX,
} from '../log/segment/file-names.ts';
import { namesIn, offsetsOf } from '../log/compaction/swap.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { walkStretches } from './batch-walk.ts';
import type { Finding } from './finding.ts';

/** The operations of the disk that a check needs. */
export type ReadableFiles = Pick<FileSystem, 'list' | 'open' | 'readFile' | 'stat'>;

/** A partition as the next opening will find it. */
interface SettledView {
  /** Shows the directory as it will be after a started swap is finished. */
  readonly files: ReadableFiles;
  /** Describes each kind of file that an opening removes or renames. */
  readonly notes: readonly Finding[];
  readonly hasSwap: boolean;
}

const REMOVED = 'They count for nothing; the next opening removes them.';
const KINDS: readonly (readonly [what: string, suffixes: readonly string[]])[] = [
  [
    'what a compaction was writing',
    [CLEANED_SUFFIX, ...INDEX_SUFFIXES.map((s) => s + SWAP_SUFFIX)],
  ],
  ['of segments that were removed', [DELETED_SUFFIX]],
];

/** Hides the left-overs of a compaction, a deletion or a crash. Changes nothing. */
export async function settledView(
  fileSystem: ReadableFiles,
  directory: string,
): Promise<SettledView> {
  const names = await namesIn(fileSystem, directory);
  const swapped = offsetsOf(names, LOG_SUFFIX + SWAP_SUFFIX);
  const notes: Finding[] = [];
  /** Maps each file that is shown under another name to its own name; undefined if it is hidden. */
  const realNames = new Map<string, string | undefined>();
  for (const base of swapped) {
    const file = join(directory, offsetName(base) + LOG_SUFFIX + SWAP_SUFFIX);
    const later = offsetsOf(names, LOG_SUFFIX).filter((offset) => offset > base);
    const newest = later.at(-1);
    const endOffset = newest === undefined ? base : await soundEnd(fileSystem, file, newest);
    for (const offset of later.filter((each) => each < endOffset)) {
      for (const suffix of SEGMENT_SUFFIXES) realNames.set(offsetName(offset) + suffix, undefined);
    }
    for (const suffix of SEGMENT_SUFFIXES) {
      const name = offsetName(base) + suffix;
      if (names.has(name + SWAP_SUFFIX)) realNames.set(name, name + SWAP_SUFFIX);
    }
    const what = 'it is what a compaction has made of this segment and those behind it';
    const meaning = 'It counts; the next opening puts it in their place.';
    notes.push({ severity: 'note', file, what, meaning, mends: [] });
  }
  const used = new Set(realNames.values());
  for (const [what, suffixes] of KINDS) {
    const left = [...names].filter(
      (name) => !used.has(name) && suffixes.some((suffix) => name.endsWith(suffix)),
    );
    const [first, ...more] = left.sort();
    if (first === undefined) continue;
    const file = join(directory, first);
    const count = more.length === 0 ? 'it is' : `it and ${more.length} more are`;
    notes.push({ severity: 'note', file, what: `${count} ${what}`, meaning: REMOVED, mends: [] });
  }
  const files = seenThrough(fileSystem, directory, realNames);
  return { files, notes, hasSwap: swapped.length > 0 };
}

function seenThrough(
  fileSystem: ReadableFiles,
  directory: string,
  realNames: ReadonlyMap<string, string | undefined>,
): ReadableFiles {
  if (realNames.size === 0) return fileSystem;
  const real = (path: string): string => {
    const name = dirname(path) === directory ? realNames.get(basename(path)) : undefined;
    return name === undefined ? path : join(directory, name);
  };
  return {
    list: async (path) => {
      const entries = await fileSystem.list(path);
      if (path !== directory) return entries;
      const seen = entries.filter(({ name }) => !realNames.has(name));
      for (const [name, under] of realNames) {
        if (under !== undefined) seen.push({ name, isDirectory: false });
      }
      return seen;
    },
    open: (path, mode) => fileSystem.open(real(path), mode),
    readFile: (path) => fileSystem.readFile(real(path)),
    stat: (path) => fileSystem.stat(real(path)),
  };
}

/** The offset, at most `limit`, after the last sound batch of a damaged file; -1 for none. */
export async function soundEnd(
  fileSystem: ReadableFiles,
  path: string,
  limit: number,
): Promise<number> {
  const file = await fileSystem.open(path, 'read');
  try {
    let endOffset = -1;
    const anything = () => ({ from: 0, upTo: Infinity });
    for await (const stretch of walkStretches(file, await file.sizeBytes(), anything)) {
      if (stretch.kind !== 'batch') continue;
      const { lastOffset } = stretch.header; // no checksum covers it
      if (lastOffset < limit) endOffset = lastOffset + 1;
    }
    return endOffset;
  } finally {
    await file.close();
  }
}
