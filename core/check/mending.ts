import { dirname } from 'node:path';
import { assert } from '../assert.ts';
import {
  LOG_SUFFIX,
  offsetOfName,
  OFFSET_INDEX_SUFFIX,
  TIME_INDEX_SUFFIX,
} from '../log/segment/file-names.ts';
import { Segment } from '../log/segment/segment.ts';
import { replaceFile, TEMPORARY_SUFFIX } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { File, FileSystem } from '../storage/file-system.ts';
import { walkStretches } from './batch-walk.ts';
import type { Edit, Mend } from './finding.ts';

const COPY_BYTES = 4 * 1024 * 1024;

/** All repairs of one file. */
export interface FileMend {
  readonly file: string;
  /** The file is moved away, or replaced by `content`. */
  readonly isRemoved: boolean;
  readonly content: Buffer | undefined;
  /** By rising position; they do not overlap. */
  readonly edits: readonly Edit[];
  /** For a segment whose indexes are rebuilt: the bytes between two entries. */
  readonly intervalBytes: number | undefined;
}

/** Groups the mends by file and drops duplicates. */
export function gatherMends(mends: readonly Mend[]): FileMend[] {
  const files = [...new Set(mends.map(({ file }) => file))];
  return files.map((file) => {
    const own = mends.filter((mend) => mend.file === file);
    const sorted = own
      .flatMap((mend) => (mend.kind === 'edit' ? [mend.edit] : []))
      .sort((a, b) => a.start - b.start || a.end - b.end);
    const edits: Edit[] = [];
    // If two overlap, the first is done; the next check finds the rest of the other.
    for (const edit of sorted) if (edit.start >= (edits.at(-1)?.end ?? 0)) edits.push(edit);
    return {
      file,
      isRemoved: own.some(({ kind }) => kind === 'remove'),
      content: own.find((mend) => mend.kind === 'write')?.content,
      edits,
      intervalBytes: own.find((mend) => mend.kind === 'reindex')?.intervalBytes,
    };
  });
}

/**
 * Repairs one file, after the bytes that it removes were copied elsewhere. Durable when it
 * resolves. After a crash in between, the next repair finds and mends the rest: the old file or the
 * new one, and missing indexes, but never indexes of another file.
 */
export async function mendFile(fileSystem: FileSystem, mend: FileMend): Promise<void> {
  const { file, content, edits, intervalBytes } = mend;
  const directory = dirname(file);
  if (mend.isRemoved) await removeFiles(fileSystem, directory, [file]);
  else if (content !== undefined) {
    await fileSystem.makeDirectory(directory);
    await fileSystem.syncDirectory(dirname(directory));
    await replaceFile(fileSystem, file, content);
  }
  if (intervalBytes !== undefined) await removeFiles(fileSystem, directory, indexesOf(file));
  if (edits.length > 0) await rewrite(fileSystem, file, edits);
  if (intervalBytes !== undefined) await reindex(fileSystem, file, intervalBytes);
}

/** The index files of a segment that can be rebuilt from it at any time. */
export function indexesOf(logFile: string): string[] {
  const stem = logFile.slice(0, -LOG_SUFFIX.length);
  return [stem + OFFSET_INDEX_SUFFIX, stem + TIME_INDEX_SUFFIX];
}

export async function removeFiles(
  fileSystem: FileSystem,
  directory: string,
  files: readonly string[],
): Promise<void> {
  for (const file of files) {
    if ((await fileSystem.stat(file)) !== undefined) await fileSystem.remove(file);
  }
  await fileSystem.syncDirectory(directory);
}

/** Replaces a file by an edited copy. */
async function rewrite(
  fileSystem: FileSystem,
  path: string,
  edits: readonly Edit[],
): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX;
  const source = await fileSystem.open(path, 'read');
  try {
    const target = await fileSystem.open(temporary, 'create');
    try {
      await target.truncate(0);
      const sizeBytes = await source.sizeBytes();
      let [from, to] = [0, 0];
      for (const { start, end, replacement } of edits) {
        to = await copyBytes(source, { start: from, end: start }, target, to);
        if (replacement.length > 0) await target.write([replacement], to);
        to += replacement.length;
        from = end;
      }
      await copyBytes(source, { start: from, end: sizeBytes }, target, to);
      await target.sync();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
  await fileSystem.rename(temporary, path);
  await fileSystem.syncDirectory(dirname(path));
}

/** Copies a stretch of a file to `position` of another; returns the position after it. */
export async function copyBytes(
  source: File,
  { start, end }: { readonly start: number; readonly end: number },
  target: File,
  position: number,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(COPY_BYTES, end - start)));
  let to = position;
  for (let from = start; from < end;) {
    const length = await source.read(buffer.subarray(0, end - from), from);
    if (length === 0) break; // the file has shrunk: nothing to lose
    await target.write([buffer.subarray(0, length)], to);
    from += length;
    to += length;
  }
  return to;
}

/** Builds the two sparse indexes of a segment from its batches, and writes them. */
async function reindex(fileSystem: FileSystem, path: string, intervalBytes: number): Promise<void> {
  const directory = dirname(path);
  const baseOffset = offsetOfName(path.slice(directory.length + 1), LOG_SUFFIX);
  assert(baseOffset !== undefined, 'only segments are indexed');
  const segment = new Segment(fileSystem, directory, baseOffset);
  const file = await fileSystem.open(path, 'read').catch((cause: unknown) => {
    throw storageFailure(path, 'open', cause);
  });
  try {
    const plausible = () => ({ from: segment.nextOffset, upTo: Infinity });
    for await (const stretch of walkStretches(file, await file.sizeBytes(), plausible)) {
      // Unrepaired bytes are not indexed; the next opening finds and reports them.
      if (stretch.kind === 'damage' || stretch.header.baseOffset < segment.nextOffset) break;
      segment.admit(stretch.header, intervalBytes);
    }
  } finally {
    await file.close();
  }
  segment.closeTimeIndex();
  const { offsets, times } = segment.indexes;
  await replaceFile(fileSystem, segment.path(OFFSET_INDEX_SUFFIX), offsets.encode(0));
  await replaceFile(fileSystem, segment.path(TIME_INDEX_SUFFIX), times.encode(0));
}
