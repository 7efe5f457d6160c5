import { crc32 } from 'node:zlib';
import { parquetMetadata, type FileMetaData } from 'hyparquet';
import type { File } from '../../core/index.ts';
import { ConnectError } from '../errors.ts';
import { fileChanged, fileFailure } from './failure.ts';

/** What the footer says about a file. */
export interface Footer {
  readonly metadata: FileMetaData;
  readonly sizeBytes: number;
  readonly check: number;
}

/** Most footers fit, so one read is enough. */
const TAIL_BYTES = 64 * 1024;
const MAGIC = 'PAR1';

/**
 * Reads the end of the file, where Parquet keeps the description of its contents:
 *
 *     PAR1 | column chunks ... | metadata | size of the metadata (4 bytes) | PAR1
 */
export async function readFooter(file: File): Promise<Footer> {
  const { path } = file;
  const sizeBytes = await file.sizeBytes();
  const head = Buffer.from(await readBytes(file, 0, Math.min(4, sizeBytes))).toString('latin1');
  if (head !== MAGIC) {
    const found = `it begins with ${JSON.stringify(head)}, not with ${MAGIC}`;
    const reason = sizeBytes === 0 ? 'it is empty' : `${found}: is it another format?`;
    throw invalidParquet(path, sizeBytes, reason);
  }
  let tail = Buffer.from(await readBytes(file, Math.max(0, sizeBytes - TAIL_BYTES), sizeBytes));
  if (sizeBytes < 12 || tail.toString('latin1', tail.length - 4) !== MAGIC) {
    const reason = `it does not end with ${MAGIC}: it was cut short, so copy it again`;
    throw invalidParquet(path, sizeBytes, reason);
  }
  const metadataBytes = tail.readUInt32LE(tail.length - 8);
  if (metadataBytes > sizeBytes - 12) {
    const reason = `its metadata of ${metadataBytes} bytes would not fit into it`;
    throw invalidParquet(path, sizeBytes, reason);
  }
  if (metadataBytes + 8 > tail.length) {
    tail = Buffer.from(await readBytes(file, sizeBytes - metadataBytes - 8, sizeBytes));
  }
  const footer = tail.subarray(tail.length - metadataBytes - 8);
  let metadata: FileMetaData;
  try {
    metadata = parquetMetadata(new Uint8Array(footer));
    checkRows(metadata);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw invalidParquet(path, sizeBytes, `its metadata cannot be read: ${reason}`, cause);
  }
  return { metadata, sizeBytes, check: crc32(footer) };
}

/** A footer has no checksum, but states the number of rows twice. */
function checkRows({ num_rows: rows, row_groups: groups }: FileMetaData): void {
  const sum = groups.reduce((before, { num_rows: each }) => before + each, 0n);
  if (rows === sum) return;
  throw new TypeError(`it counts ${rows} rows, but ${sum} in its row groups`);
}

/** Reads the bytes from `start` to `end`. @throws ConnectError FILE_CHANGED, STORAGE_FAILED */
export async function readBytes(file: File, start: number, end: number): Promise<ArrayBuffer> {
  const target = Buffer.allocUnsafeSlow(end - start);
  let readCount: number;
  try {
    readCount = await file.read(target, start);
  } catch (cause) {
    throw fileFailure(file.path, 'read', cause);
  }
  if (readCount < target.length) {
    throw fileChanged(file.path, `it was cut to ${start + readCount} bytes while being read`);
  }
  return target.buffer;
}

/** INVALID_PARQUET for a reason. */
export function invalidParquet(
  file: string,
  sizeBytes: number,
  reason: string,
  cause?: unknown,
): ConnectError {
  const message = `${file} (${sizeBytes} bytes) is no sound Parquet file: ${reason}`;
  return new ConnectError('INVALID_PARQUET', message, { file, sizeBytes, reason }, { cause });
}
