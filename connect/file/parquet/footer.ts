import { crc32 } from 'node:zlib';
import type { File } from '../../../core/index.ts';
import { ConnectError } from '../../errors.ts';
import { fileChanged, fileFailure } from '../failure.ts';
import { readFileMetadata, type FileMetadata, type RowGroup } from './metadata.ts';
import { schemaTree, type SchemaNode } from './schema.ts';

/** What the footer says about a file. */
export interface Footer {
  readonly rowGroups: readonly RowGroup[];
  readonly rowCount: number;
  readonly schema: SchemaNode;
  readonly sizeBytes: number;
  /** CRC-32 of the footer. */
  readonly check: number;
  /** The footer itself, with the 8 bytes that end the file, and where it begins. */
  readonly bytes: Buffer;
  readonly position: number;
}

/** Most footers fit, so one read is enough. */
const TAIL_BYTES = 64 * 1024;
/** A table of 10,000 columns in 100 row groups has 100 MB. */
const FOOTER_BYTES_MAX = 512 * 1024 * 1024;
const MAGIC = 'PAR1';
/** Instead of `MAGIC` if the footer is encrypted. */
const ENCRYPTED_MAGIC = 'PARE';

/**
 * Reads the end of the file, where Parquet keeps the description of its contents:
 *
 *     PAR1 | column chunks ... | metadata | size of the metadata (4 bytes) | PAR1
 */
export async function readFooter(file: File): Promise<Footer> {
  const { path } = file;
  const sizeBytes = await file.sizeBytes();
  const invalid = (reason: string, positionBytes: number, cause?: unknown): ConnectError => {
    return invalidParquet({ file: path, sizeBytes, positionBytes, reason }, cause);
  };
  const head = (await readBytes(file, 0, Math.min(4, sizeBytes))).toString('latin1');
  if (head === ENCRYPTED_MAGIC) throw invalid('it is encrypted, so it cannot be read here', 0);
  if (head !== MAGIC) {
    const found = `it begins with ${JSON.stringify(head)}, not with ${MAGIC}`;
    throw invalid(sizeBytes === 0 ? 'it is empty' : `${found}: is it another format?`, 0);
  }
  let tail = await readBytes(file, Math.max(0, sizeBytes - TAIL_BYTES), sizeBytes);
  if (sizeBytes < 12 || tail.toString('latin1', tail.length - 4) !== MAGIC) {
    const reason = `it does not end with ${MAGIC}: it was cut short, so copy it again`;
    throw invalid(reason, Math.max(0, sizeBytes - 4));
  }
  const metadataBytes = tail.readUInt32LE(tail.length - 8);
  const footerBytes = metadataBytes + 8;
  if (footerBytes > sizeBytes - 4 || metadataBytes > FOOTER_BYTES_MAX) {
    throw invalid(`its metadata of ${metadataBytes} bytes would not fit into it`, sizeBytes - 8);
  }
  const position = sizeBytes - footerBytes;
  if (footerBytes > tail.length) tail = await readBytes(file, position, sizeBytes);
  const bytes = tail.subarray(tail.length - footerBytes);
  try {
    const metadata = readFileMetadata(bytes.subarray(0, metadataBytes));
    const { rowGroups } = metadata;
    const rowCount = countRows(metadata);
    const schema = schemaTree(metadata.schema);
    return { rowGroups, rowCount, schema, sizeBytes, check: crc32(bytes), bytes, position };
  } catch (cause) {
    throw invalid(`its metadata cannot be read: ${reasonOf(cause)}`, position, cause);
  }
}

/** A footer has no checksum, but states the number of rows twice; some writers leave one at 0. */
function countRows({ rowCount, rowGroups }: FileMetadata): number {
  const sum = rowGroups.reduce((before, group) => before + group.rowCount, 0);
  if (rowCount === sum || rowCount === 0) return sum;
  throw new RangeError(`it counts ${rowCount} rows, but ${sum} in its row groups`);
}

/** Reads the bytes from `start` to `end`. @throws ConnectError FILE_CHANGED, STORAGE_FAILED */
export async function readBytes(file: File, start: number, end: number): Promise<Buffer> {
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
  return target;
}

/** INVALID_PARQUET for a reason. */
export function invalidParquet(
  details: ConnectError<'INVALID_PARQUET'>['details'],
  cause?: unknown,
): ConnectError {
  const { file, sizeBytes, positionBytes, reason } = details;
  const message =
    `${file} (${sizeBytes} bytes) is no sound Parquet file: ${reason} ` +
    `(at byte ${positionBytes})`;
  return new ConnectError('INVALID_PARQUET', message, details, { cause });
}

/** What went wrong, for a message. */
export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
