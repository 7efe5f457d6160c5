/** What a manifest holds, and what makes one sound. */
import { posix } from 'node:path';

/** The version that is written. Version 1 had no checksum; it is read, and replaced by a commit. */
export const MANIFEST_VERSION = 2;

/** One file of the output. */
export interface ManifestPart {
  /**
   * Its path in the directory: `part-0-00000.jsonl`, by partition and number, below the directories
   * of the layout. No two parts of a partition have one number.
   */
  readonly file: string;
  /** The partition whose records it holds, in the order of their offsets. */
  readonly partition: number;
  /** The offsets of its first and last record. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly records: number;
  /** The latest event time of its records; version 1 does not have it. */
  readonly maxTimestampMs?: number;
  /** How many bytes of the file count; later ones belong to no commit yet. */
  readonly sizeBytes: number;
  /** How many bytes its rows take before they are compressed; only with `compression`. */
  readonly contentBytes?: number;
  /** CRC-32 of the bytes that count, in hexadecimal. */
  readonly crc32: string;
  /** True if nothing will be added to it. */
  readonly isSealed: boolean;
  /** When it was begun, by the clock; only if it is open. */
  readonly openedMs?: number | undefined;
  /** What `partBy` gave for its records; only if it is open. */
  readonly by?: string | undefined;
}

/**
 * What an output directory holds, and how far the topic has been read. Each commit replaces it as a
 * whole: bytes and offsets change together [CONNECT-FILES-1]. In the file a last field follows,
 * `checksum`: the CRC-32, in hexadecimal, of all bytes before it.
 */
export interface Manifest {
  /** Raised when the meaning of a field changes. */
  readonly version: typeof MANIFEST_VERSION;
  readonly topic: { readonly name: string; readonly id: string };
  readonly format: string;
  /** How each piece of a part is compressed; absent if none is. */
  readonly compression?: 'gzip' | 'zstd';
  /** How the directories below this one are named; absent if there are none. */
  readonly layout?: string;
  /** Whose dates these names have; absent if none has one. */
  readonly timeZone?: string;
  /** For formats with columns, once they are known. */
  readonly columns?: readonly string[];
  /** Other settings of the format that the bytes of open parts depend on. */
  readonly settings?: string | undefined;
  /** True if the input has ended: nothing more will come unless the sink runs again. */
  readonly complete: boolean;
  /**
   * The **next** offset to read, by partition: each record before it is in a part, or was left out.
   */
  readonly offsets: Readonly<Record<string, number>>;
  readonly parts: readonly ManifestPart[];
}

/** A part's file name: partition, number, extensions. */
export const PART_NAME: RegExp = /^part-(\d+)-(\d{5,})(?:\.\w+){1,2}$/;

/** Why a value is no manifest, although it is JSON; undefined if it is one. */
export function faultOf(value: unknown): string | undefined {
  if (!isObject(value)) return 'it is no object';
  const { version, offsets, parts } = value;
  const fields = version === 1 ? FIELDS_OF_VERSION_1 : Object.keys(FIELDS);
  const odd = Object.keys(value).find((name) => !fields.includes(name));
  if (odd !== undefined) return `it has a field ${odd}, which no manifest has`;
  for (const [name, { fault, isSound, isOptional = false }] of Object.entries(FIELDS)) {
    if (!Object.hasOwn(value, name) ? !isOptional : !isSound(value[name])) return fault;
  }
  const sound = { ...value, version: MANIFEST_VERSION } as unknown as Manifest;
  if ((parts as readonly ManifestPart[]).some((part) => !isPart(part, version === 1, sound))) {
    return 'one of its parts is incomplete';
  }
  return faultOfParts(sound, offsets as Readonly<Record<string, number>>);
}

/** Why parts that are each sound do not fit together. */
function faultOfParts({ parts, complete }: Manifest, offsets: Readonly<Record<string, number>>) {
  const names = new Set<string>();
  /** By partition and directory. */
  const last = new Map<string, ManifestPart>();
  /** By partition. */
  const total = new Map<number, number>();
  for (const part of parts) {
    const { file, partition, firstOffset, lastOffset, records } = part;
    const name = posix.basename(file).split('.')[0]!;
    if (names.has(name)) return `${name} is listed twice`;
    names.add(name);
    const place = `${partition} ${posix.dirname(file)}`;
    const former = last.get(place);
    if (former?.isSealed === false) return `${file} follows on a part that is not sealed`;
    if (firstOffset <= (former?.lastOffset ?? -1) || lastOffset < firstOffset) {
      return `${file} is not in the order of its offsets`;
    }
    last.set(place, part);
    if (records < 1 || records > lastOffset - firstOffset + 1) {
      return `${file} has ${records} records, which its offsets cannot hold`;
    }
    if (!Object.hasOwn(offsets, partition) || offsets[partition]! <= lastOffset) {
      return `${file} goes beyond the offset to read next`;
    }
    total.set(partition, (total.get(partition) ?? 0) + records);
    if (total.get(partition)! > offsets[partition]!) {
      return `the parts of partition ${partition} have more records than it has offsets`;
    }
    if (complete && !part.isSealed) return `${file} is open, and the output is complete`;
  }
  return undefined;
}

interface Field {
  /** What is wrong if the check fails. */
  readonly fault: string;
  readonly isSound: (value: unknown) => boolean;
  readonly isOptional?: boolean;
}

const FIELDS: { readonly [Name in keyof Required<Manifest>]: Field } = {
  version: { fault: 'its version is none', isSound: (value) => value === 1 || value === 2 },
  topic: {
    fault: 'it names no topic',
    isSound: (value) => {
      return isObject(value) && hasOnly(value, ['name', 'id']) && areText(Object.values(value));
    },
  },
  format: { fault: 'it names no format', isSound: isText },
  compression: {
    fault: 'its compression is unknown',
    isSound: (value) => value === 'gzip' || value === 'zstd',
    isOptional: true,
  },
  layout: { fault: 'its layout is no text', isSound: isText, isOptional: true },
  timeZone: { fault: 'its time zone is no text', isSound: isText, isOptional: true },
  columns: { fault: 'its columns are no names', isSound: areNames, isOptional: true },
  settings: { fault: 'its settings are no text', isSound: isText, isOptional: true },
  complete: {
    fault: 'it does not say whether it is complete',
    isSound: (value) => typeof value === 'boolean',
  },
  offsets: {
    fault: 'it has no offsets',
    isSound: (value) => {
      const isPlace = ([partition, offset]: [string, unknown]): boolean =>
        /^(0|[1-9]\d*)$/.test(partition) && isCount(offset);
      return isObject(value) && Object.entries(value).every(isPlace);
    },
  },
  parts: {
    fault: 'one of its parts is incomplete',
    isSound: (value) => Array.isArray(value) && value.every(isObject),
  },
};

const FIELDS_OF_VERSION_1: readonly string[] = [
  ...['version', 'topic', 'format', 'columns', 'complete', 'offsets', 'parts'],
];

const PART_FIELDS: { readonly [Name in keyof Required<ManifestPart>]: Omit<Field, 'fault'> } = {
  file: { isSound: isText },
  partition: { isSound: isCount },
  firstOffset: { isSound: isCount },
  lastOffset: { isSound: isCount },
  records: { isSound: isCount },
  maxTimestampMs: { isSound: Number.isSafeInteger, isOptional: true },
  sizeBytes: { isSound: isCount },
  contentBytes: { isSound: isCount, isOptional: true },
  crc32: { isSound: (value) => typeof value === 'string' && /^[0-9a-f]{8}$/.test(value) },
  isSealed: { isSound: (value) => typeof value === 'boolean' },
  openedMs: { isSound: Number.isSafeInteger, isOptional: true },
  by: { isSound: (value) => typeof value === 'string', isOptional: true },
};

/** True if each field of a part is sound by itself. */
function isPart(part: ManifestPart, isVersion1: boolean, { compression, layout }: Manifest) {
  if (!hasOnly(part, Object.keys(PART_FIELDS))) return false;
  for (const [name, { isSound, isOptional = false }] of Object.entries(PART_FIELDS)) {
    const value = part[name as keyof ManifestPart];
    if (value === undefined ? !isOptional : !isSound(value)) return false;
    if (isVersion1 && isOptional && value !== undefined) return false;
  }
  if ((part.contentBytes !== undefined) !== (compression !== undefined)) return false;
  const levels = part.file.split('/');
  const name = PART_NAME.exec(levels.pop()!);
  const depth = layout === undefined ? 0 : layout.split('/').length;
  return name?.[1] === String(part.partition) && levels.length === depth && levels.every(isLevel);
}

/**
 * True for the name of a directory below the output's: it cannot lead out of it, and it is none of
 * the hidden files.
 */
export function isLevel(name: string): boolean {
  return name !== '' && !name.startsWith('.') && !/[/\\\0]/.test(name);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function hasOnly(value: object, names: readonly string[]): boolean {
  return Object.keys(value).every((name) => names.includes(name));
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

function areText(values: readonly unknown[]): boolean {
  return values.length === 2 && values.every(isText);
}

function areNames(value: unknown): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
