import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFileSystem, type File, type FileSystem } from '../../core/index.ts';
import type { BadRow, RowBatch, SourceFormat } from '../../connect/file/format.ts';
import { ConnectError } from '../../connect/errors.ts';
import type { SourceOffset } from '../../connect/connector.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** For tests of connectors, which are outside core. */

/** The error that `promise` rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return new TypeError(`resolved with ${JSON.stringify(await promise)}`);
  } catch (error) {
    return error;
  }
}

/** The same for a connector's error, with only the parts that users see. */
export async function connectFailure(promise: Promise<unknown>): Promise<{
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}> {
  const error = await failureOf(promise);
  if (!(error instanceof ConnectError)) throw error;
  const { code, message } = error;
  return { code, message, details: { ...error.details } };
}

/** Writes a file that is removed with the test; returns its path. */
export function inputFile(content: string | Buffer, name = 'input.txt'): string {
  const path = join(temporaryDirectory(), name);
  writeFileSync(path, content);
  return path;
}

/** A file system whose only file has this content, to read. */
export function fileSystemOf(content: Buffer): FileSystem {
  const open = async (path: string): Promise<Partial<File>> => ({
    path,
    read: async (target, position) => content.copy(target, 0, position),
    sizeBytes: async () => content.length,
    close: async () => undefined,
  });
  return { open } as unknown as FileSystem;
}

/** Reads a file in a format, from an offset or from its start. */
export async function readBatches<Row>(
  format: SourceFormat<Row>,
  path: string,
  offset?: SourceOffset,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<RowBatch<Row>[]> {
  const badOffset = () => new ConnectError('INVALID_STATE', 'bad', { operation: '', state: '' });
  const reader = await format.open({ fileSystem, path, offset, isFollowed: false, badOffset });
  const batches: RowBatch<Row>[] = [];
  try {
    for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
      // As a run that tolerates nothing.
      for (const { error } of next.bad ?? []) throw error;
      batches.push(next);
    }
  } finally {
    await reader.close();
  }
  return batches;
}

/** The same for a run that tolerates bad rows: what was read, and what could not be. */
export async function readTolerantly<Row>(
  format: SourceFormat<Row>,
  path: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<{ readonly rows: readonly Row[]; readonly bad: readonly BadRow[] }> {
  const badOffset = () => new ConnectError('INVALID_STATE', 'bad', { operation: '', state: '' });
  const input = { fileSystem, path, offset: undefined, isFollowed: false, badOffset };
  const reader = await format.open(input);
  const [rows, bad]: [Row[], BadRow[]] = [[], []];
  try {
    for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
      rows.push(...next.rows);
      bad.push(...(next.bad ?? []));
    }
  } finally {
    await reader.close();
  }
  return { rows, bad };
}

/** The rows that `readBatches` returns. */
export async function readRows<Row>(
  format: SourceFormat<Row>,
  path: string,
  offset?: SourceOffset,
): Promise<Row[]> {
  return (await readBatches(format, path, offset)).flatMap(({ rows }) => rows);
}
