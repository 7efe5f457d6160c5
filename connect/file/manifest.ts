import { join } from 'node:path';
import type { FileSystem } from '../../core/index.ts';
import { replaceFile } from '../../core/internal.ts';
import { ConnectError } from '../errors.ts';
import { fileFailure } from './failure.ts';

/** The file that states which contents of an output directory count. */
export const MANIFEST = 'manifest.json';

/**
 * Matches the names of part files and captures the partition: no other file in a directory is ever
 * cut or removed.
 */
export const PART_NAME: RegExp = /^part-(\d+)-\d{5,}\.\w+$/;

/** One file of the output. */
export interface ManifestPart {
  /** Its name in the directory: `part-0-00000.jsonl`, by partition and number. */
  readonly file: string;
  /** The partition whose records it holds, in the order of their offsets. */
  readonly partition: number;
  /** The offsets of its first and last record. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly records: number;
  /** How many bytes of the file count; later ones belong to no commit yet. */
  readonly sizeBytes: number;
  /** CRC-32 of these bytes, in hexadecimal. */
  readonly crc32: string;
  /** True if nothing will be added to it. */
  readonly isSealed: boolean;
}

/**
 * What an output directory holds, and how far the topic has been read. Each commit replaces it as a
 * whole: bytes and offsets change together [CONNECT-FILES-1].
 */
export interface Manifest {
  /** Raised when the meaning of a field changes. */
  readonly version: 1;
  readonly topic: { readonly name: string; readonly id: string };
  readonly format: string;
  /** For formats with columns, once they are known. */
  readonly columns?: readonly string[];
  /** True if the input has ended: nothing more will come unless the sink runs again. */
  readonly complete: boolean;
  /** The **next** offset to read, by partition. */
  readonly offsets: Readonly<Record<string, number>>;
  readonly parts: readonly ManifestPart[];
}

/**
 * Reads the manifest of a directory; undefined if there is none.
 *
 * @throws ConnectError OUTPUT_DAMAGED, ACCESS_DENIED, STORAGE_FAILED
 */
export async function readManifest(
  fileSystem: FileSystem,
  directory: string,
): Promise<Manifest | undefined> {
  const file = join(directory, MANIFEST);
  let content: string;
  try {
    if ((await fileSystem.stat(file)) === undefined) return undefined;
    content = (await fileSystem.readFile(file)).toString('utf8');
  } catch (cause) {
    throw fileFailure(file, 'read', cause);
  }
  let manifest: unknown;
  try {
    manifest = JSON.parse(content);
  } catch (cause) {
    throw damaged(file, 'it is not JSON', cause);
  }
  const reason = faultOf(manifest);
  if (reason !== undefined) throw damaged(file, reason);
  return manifest as Manifest;
}

/**
 * Replaces the manifest: the commit point of the file sink. Durable when it resolves; if it
 * rejects, either the old or the new one is in place.
 *
 * @throws ConnectError DISK_FULL, ACCESS_DENIED, STORAGE_FAILED
 */
export async function writeManifest(
  fileSystem: FileSystem,
  directory: string,
  manifest: Manifest,
): Promise<void> {
  const file = join(directory, MANIFEST);
  const content = Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`);
  try {
    await replaceFile(fileSystem, file, content);
  } catch (cause) {
    throw fileFailure(file, 'replace', cause);
  }
}

/** OUTPUT_DAMAGED, with what to do. */
export function damaged(file: string, reason: string, cause?: unknown): ConnectError {
  const message =
    `${file} is damaged: ${reason}; bring it back from a backup, or have the sink write to a new ` +
    'directory from the beginning';
  return new ConnectError('OUTPUT_DAMAGED', message, { file, reason }, { cause });
}

/** Why a value is not a manifest; undefined if it is one. */
function faultOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'it is no object';
  const manifest = value as Partial<Record<keyof Manifest, unknown>>;
  const { version, topic, format, columns, complete, offsets, parts } = manifest;
  if (version !== 1) return `its version is ${String(version)}, and 1 is known`;
  const { name, id } = objectOf(topic);
  if (typeof name !== 'string' || typeof id !== 'string') return 'it names no topic';
  if (typeof format !== 'string') return 'it names no format';
  if (columns !== undefined && !isListOf(columns, (each) => typeof each === 'string')) {
    return 'its columns are no names';
  }
  if (typeof complete !== 'boolean') return 'it does not say whether it is complete';
  const isPlace = ([partition, offset]: [string, unknown]): boolean =>
    /^\d+$/.test(partition) && isCount(offset);
  if (offsets === null || typeof offsets !== 'object' || !Object.entries(offsets).every(isPlace)) {
    return 'it has no offsets';
  }
  if (!isListOf(parts, isPart)) return 'one of its parts is incomplete';
  return faultOfParts(parts as readonly ManifestPart[]);
}

/** Why parts that are each sound do not fit together. */
function faultOfParts(parts: readonly ManifestPart[]): string | undefined {
  const next = new Map<number, number>();
  const open = new Set<number>();
  for (const { file, partition, firstOffset, lastOffset, isSealed } of parts) {
    if (open.has(partition)) return `${file} follows on a part that is not sealed`;
    if (firstOffset < (next.get(partition) ?? 0) || lastOffset < firstOffset) {
      return `${file} is not in the order of its offsets`;
    }
    next.set(partition, lastOffset + 1);
    if (!isSealed) open.add(partition);
  }
  return undefined;
}

function isPart(value: unknown): boolean {
  const part = objectOf(value) as Partial<Record<keyof ManifestPart, unknown>>;
  const { file, partition, firstOffset, lastOffset, records, sizeBytes, crc32, isSealed } = part;
  return (
    typeof file === 'string' &&
    PART_NAME.exec(file)?.[1] === String(partition) &&
    [partition, firstOffset, lastOffset, records, sizeBytes].every(isCount) &&
    typeof crc32 === 'string' &&
    /^[0-9a-f]{8}$/.test(crc32) &&
    typeof isSealed === 'boolean'
  );
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isListOf(value: unknown, isElement: (each: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isElement);
}
