import { dirname, join, relative } from 'node:path';
import { replaceFile } from '../storage/atomic-file.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { copyBytes, indexesOf, type FileMend } from './mending.ts';

/** A stretch of a file that a repair removes, and the file with its copy. */
interface Kept {
  /** Relative to the data directory. */
  readonly file: string;
  readonly positionBytes: number;
  readonly sizeBytes: number;
  /** Relative to the directory of the manifest. */
  readonly keptAs: string;
}

const MANIFEST_FILE = 'manifest.json';

/**
 * Copies all bytes that the mends will remove into a new directory, `repair.<n>` at the root of the
 * data directory, with a manifest of their origins. Durable when it resolves; nothing else has
 * changed by then. (The name has no dash, so it cannot be a partition's.)
 */
export async function setAside(
  fileSystem: FileSystem,
  root: string,
  mends: readonly FileMend[],
): Promise<string> {
  const names = new Set((await fileSystem.list(root)).map(({ name }) => name));
  let number = 1;
  while (names.has(`repair.${number}`)) number++;
  const directory = join(root, `repair.${number}`);
  await makeDurably(fileSystem, directory);
  const kept: Kept[] = [];
  const keep = async (path: string, start: number, end: number, suffix = ''): Promise<void> => {
    const file = relative(root, path);
    const keptAs = file + suffix;
    const target = join(directory, keptAs);
    if (dirname(target) !== directory) await makeDurably(fileSystem, dirname(target));
    await copyTo(fileSystem, { path, start, end }, target);
    kept.push({ file, positionBytes: start, sizeBytes: end - start, keptAs });
  };
  for (const { file, isRemoved, content, edits, intervalBytes } of mends) {
    const whole = isRemoved || content !== undefined ? [file] : [];
    if (intervalBytes !== undefined) whole.push(...indexesOf(file));
    for (const path of whole) {
      const stat = await fileSystem.stat(path);
      if (stat !== undefined && !stat.isDirectory) await keep(path, 0, stat.sizeBytes);
    }
    for (const { start, end } of edits) if (end > start) await keep(file, start, end, `.${start}`);
  }
  const manifest = `${JSON.stringify({ version: 1, kept }, null, 1)}\n`;
  await replaceFile(fileSystem, join(directory, MANIFEST_FILE), Buffer.from(manifest));
  return directory;
}

async function makeDurably(fileSystem: FileSystem, directory: string): Promise<void> {
  await fileSystem.makeDirectory(directory);
  await fileSystem.syncDirectory(dirname(directory));
}

async function copyTo(
  fileSystem: FileSystem,
  { path, ...range }: { readonly path: string; readonly start: number; readonly end: number },
  target: string,
): Promise<void> {
  const source = await fileSystem.open(path, 'read');
  try {
    const copy = await fileSystem.open(target, 'create');
    try {
      await copyBytes(source, range, copy, 0);
      await copy.sync();
    } finally {
      await copy.close();
    }
  } finally {
    await source.close();
  }
  await fileSystem.syncDirectory(dirname(target));
}
