import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { LogError, type FileSystem } from '../../../core/index.ts';
import { lockDirectory } from '../../../core/internal.ts';
import type { SinkTopic } from '../../connector.ts';
import { ConnectError } from '../../errors.ts';
import { fileFailure, type FileOperation } from '../failure.ts';
import { damaged, MANIFEST, readManifest, writeManifest } from './manifest-file.ts';
import { MANIFEST_VERSION, type Manifest } from './manifest.ts';
import { faultOfPart, filesOf, TEMPORARY_MANIFEST } from './part-check.ts';

/** What a sink is about to write, for comparison with what a directory holds. */
export interface Output {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly topic: SinkTopic;
  readonly format: string;
  readonly compression: 'gzip' | 'zstd' | undefined;
  readonly layout: string | undefined;
  readonly timeZone: string | undefined;
  /** The columns, if the options name them. */
  readonly columns: readonly string[] | undefined;
}

/** A directory that this process has locked, as the last commit left it. */
export interface OpenOutput {
  readonly manifest: Manifest;
  /** Releases the lock. */
  readonly unlock: () => Promise<void>;
}

/**
 * Locks an output directory, creates it if it is missing, and restores its last commit by removing
 * what the manifest does not cover.
 *
 * @throws ConnectError NOT_A_DIRECTORY, OUTPUT_FOREIGN, OUTPUT_MISMATCH, OUTPUT_DAMAGED,
 *   OUTPUT_LOCKED: nothing was touched; ACCESS_DENIED, DISK_FULL, STORAGE_FAILED
 */
export async function openOutput(output: Output): Promise<OpenOutput> {
  const { fileSystem, directory } = output;
  await inspect(output); // before we create anything: other files stay untouched
  await make(fileSystem, directory);
  const unlock = await lock(output);
  try {
    const found = await inspect(output); // again: before the lock, another process may have written
    if (found === undefined) {
      const manifest = emptyManifest(output);
      await writeManifest(fileSystem, directory, manifest);
      return { manifest, unlock };
    }
    await recover(output, found);
    return { manifest: found, unlock };
  } catch (cause) {
    await unlock().catch(() => undefined); // `cause` matters more
    throw cause;
  }
}

function emptyManifest(output: Output): Manifest {
  const { topic, format, compression, layout, timeZone } = output;
  return {
    version: MANIFEST_VERSION,
    topic: { name: topic.topic, id: topic.topicId },
    format,
    ...(compression !== undefined && { compression }),
    ...(layout !== undefined && { layout }),
    ...(timeZone !== undefined && { timeZone }),
    complete: false,
    offsets: {},
    parts: [],
  };
}

/** Reads the directory's manifest; undefined if it is empty or missing. Changes nothing. */
async function inspect(output: Output): Promise<Manifest | undefined> {
  const { fileSystem, directory: path } = output;
  const names = await attempt(path, 'open', async () => {
    const stat = await fileSystem.stat(path);
    if (stat === undefined) return [];
    if (stat.isDirectory) return (await fileSystem.list(path)).map(({ name }) => name);
    const message = `${path} is a file, and the output needs a directory; give another path`;
    throw new ConnectError('NOT_A_DIRECTORY', message, { path });
  });
  if (names.includes(MANIFEST)) {
    const manifest = await readManifest(fileSystem, path);
    if (manifest !== undefined) compare(output, manifest);
    return manifest;
  }
  const foreign = names.filter((name) => !name.startsWith('.') && name !== TEMPORARY_MANIFEST);
  if (foreign.length === 0) return undefined;
  const shown = foreign.slice(0, 3).join(', ') + (foreign.length > 3 ? ', ...' : '');
  const message =
    `${path} holds files that are no output of a sink (${shown}); ` +
    'give a directory that is empty or does not exist';
  throw new ConnectError('OUTPUT_FOREIGN', message, { directory: path, entries: foreign });
}

/** @throws ConnectError OUTPUT_MISMATCH if the directory belongs to another output. */
function compare(output: Output, manifest: Manifest): void {
  const { directory, topic, format, columns } = output;
  const fields: readonly (readonly [string, string, string])[] = [
    ['topic', topic.topic, manifest.topic.name],
    ['id of the topic', topic.topicId, manifest.topic.id],
    ['format', format, manifest.format],
    ['compression', output.compression ?? 'none', manifest.compression ?? 'none'],
    ['layout', output.layout ?? 'none', manifest.layout ?? 'none'],
    ['time zone', output.timeZone ?? 'none', manifest.timeZone ?? 'none'],
    ['columns', String(columns ?? manifest.columns), String(manifest.columns ?? columns)],
  ];
  for (const [field, expected, actual] of fields) {
    if (expected === actual) continue;
    const message =
      `${directory} holds the output of something else: its ${field} is ${actual}, not ` +
      `${expected}; give another directory, or remove this one if it is no longer needed`;
    throw new ConnectError('OUTPUT_MISMATCH', message, { directory, field, expected, actual });
  }
}

async function make(fileSystem: FileSystem, directory: string): Promise<void> {
  await attempt(directory, 'create', async () => {
    const missing: string[] = [];
    for (let path = directory; (await fileSystem.stat(path)) === undefined; path = dirname(path)) {
      missing.push(path);
    }
    await fileSystem.makeDirectory(directory);
    // A power cut could remove the whole output along with a directory above it.
    for (const path of missing) await fileSystem.syncDirectory(dirname(path));
  });
}

async function lock({ fileSystem, directory }: Output): Promise<() => Promise<void>> {
  try {
    const unlock = await lockDirectory(fileSystem, directory, randomUUID());
    return () => attempt(directory, 'unlock', unlock);
  } catch (cause) {
    if (!LogError.is(cause, 'LOG_LOCKED')) throw fileFailure(directory, 'create', cause);
    const { ownerPid } = cause.details;
    const owner = ownerPid === process.pid ? 'this process' : 'another process';
    const message =
      `${owner} (pid ${ownerPid}) is writing to ${directory}; ` +
      'stop it, or give each sink a directory of its own';
    throw new ConnectError('OUTPUT_LOCKED', message, { directory, ownerPid }, { cause });
  }
}

/**
 * Cuts bytes and removes files that no commit covers, but only once all that is to stay has been
 * found sound. If it crashes, the next run does the rest.
 */
async function recover({ fileSystem, directory }: Output, manifest: Manifest): Promise<void> {
  const { parts } = manifest;
  const tails: (readonly [path: string, sizeBytes: number])[] = [];
  for (const part of parts) {
    const path = join(directory, part.file);
    const place = { fileSystem, path };
    // What is appended to is read; `millrace sink verify` reads the rest, too.
    const { reason, tailBytes } = await faultOfPart(place, part, !part.isSealed);
    if (reason !== undefined) throw damaged(path, reason);
    if (tailBytes > 0) tails.push([path, part.sizeBytes]);
  }
  for (const [path, sizeBytes] of tails) await cut(fileSystem, path, sizeBytes);
  const listed = new Set(parts.map(({ file }) => file));
  for (const { file, isOurs } of await filesOf(fileSystem, directory, manifest)) {
    if (!isOurs || listed.has(file)) continue;
    const path = join(directory, file);
    await attempt(path, 'remove', () => fileSystem.remove(path));
  }
}

async function cut(fileSystem: FileSystem, path: string, sizeBytes: number): Promise<void> {
  await attempt(path, 'truncate', async () => {
    const file = await fileSystem.open(path, 'write');
    try {
      await file.truncate(sizeBytes);
    } finally {
      await file.close();
    }
  });
}

async function attempt<T>(
  path: string,
  operation: FileOperation,
  action: () => Promise<T>,
): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw fileFailure(path, operation, cause);
  }
}
