import { inflateRawSync } from 'node:zlib';
import { decompress } from '../../../core/internal.ts';
import type { SourceOffset } from '../../connector.ts';
import { ConnectError } from '../../errors.ts';
import { fileChanged, fileFailure } from '../failure.ts';
import type { BadRow, InputFile, RowBatch, RowReader } from '../format.ts';
import type { BadValue } from '../parquet/bad-value.ts';
import type { ValueOptions } from '../parquet/number-values.ts';
import type { ByteInput } from '../source/byte-input.ts';
import { openBytes } from '../source/open-bytes.ts';
import { BlockInput } from './block-input.ts';
import { decoderOf, type Decode } from './value-decoder.ts';

/** A position in a container file, as committed: the start of a block. */
interface AvroOffset {
  readonly position: number;
  /** Rows before it. */
  readonly row: number;
  /** The size of the file at the time. */
  readonly sizeBytes: number;
  /** The file's sync marker, in hexadecimal: no two files have the same. */
  readonly sync: string;
}

/** What a file begins with. */
interface Header {
  readonly sync: Buffer;
  readonly codec: string;
  readonly decode: Decode;
  /** The start of the first block. */
  readonly sizeBytes: number;
}

const MAGIC = Buffer.from('Obj\x01', 'latin1');
const SYNC_BYTES = 16;
const READ_BYTES = 256 * 1024;
/** Larger schemas are no schemas. */
const HEADER_BYTES_MAX = 16 * 1024 * 1024;
/** Writers aim at some tens of kilobytes; what claims more than this is damaged or hostile. */
const BLOCK_BYTES_MAX = 64 * 1024 * 1024;
const UNPACKED_BYTES_MAX = 256 * 1024 * 1024;
/** Two integers. */
const BLOCK_HEAD_BYTES = 20;

/**
 * Reads a container file of Avro block by block; each block is a batch, and offsets are those of
 * blocks.
 *
 *     magic | map: avro.schema, avro.codec, ... | sync marker of 16 bytes
 *     blocks: rows long | bytes long | rows, packed by the codec | sync marker
 */
export class AvroReader<Row> implements RowReader<Row> {
  readonly #input: ByteInput;
  readonly #file: InputFile;
  readonly #options: ValueOptions;
  #header: Header | undefined;
  /** Of the next block; 0 before the header was read. */
  #position = 0;
  #row = 0;
  /** What was read of the file, and where it begins there. */
  #buffer: Buffer = Buffer.alloc(0);
  #base = 0;

  private constructor(input: ByteInput, file: InputFile, options: ValueOptions) {
    this.#input = input;
    this.#file = file;
    this.#options = options;
  }

  /** @throws ConnectError as `SourceFormat.open`; INVALID_AVRO */
  static async open<Row>(file: InputFile, options: ValueOptions): Promise<AvroReader<Row>> {
    const { path, offset, badOffset } = file;
    const known = offset === undefined ? undefined : avroOffset(offset);
    if (offset !== undefined && known === undefined) throw badOffset();
    let input: ByteInput | undefined;
    try {
      input = await openBytes(file);
      const reader = new AvroReader<Row>(input, file, options);
      if (known !== undefined) await reader.#resume(known);
      return reader;
    } catch (cause) {
      await input?.close();
      throw cause instanceof ConnectError ? cause : fileFailure(path, 'open', cause);
    }
  }

  async next(): Promise<RowBatch<Row> | undefined> {
    this.#header ??= await this.#readHeader();
    const header = this.#header;
    if (header === undefined) return undefined;
    if (this.#position === 0) this.#position = header.sizeBytes;
    const head = await this.#view(this.#position, BLOCK_HEAD_BYTES);
    if (head.length === 0) return undefined;
    const frame = this.#guard(() => frameOf(head));
    if (frame === undefined) {
      this.#checkCut();
      return undefined;
    }
    const { rows: count, headBytes, packedBytes } = frame;
    const sizeBytes = headBytes + packedBytes + SYNC_BYTES;
    const block = await this.#view(this.#position, sizeBytes);
    if (block.length < sizeBytes) {
      this.#checkCut();
      return undefined;
    }
    const { rows, bad } = this.#guard(() => {
      if (!block.subarray(-SYNC_BYTES).equals(header.sync)) {
        throw new RangeError('a block does not end with the sync marker of the file');
      }
      const content = unpack(header.codec, block.subarray(headBytes, -SYNC_BYTES));
      return this.#rowsOf(content, count, header.decode);
    });
    const first = this.#row + 1;
    const kept = rows.map(({ index }) => index);
    this.#position += sizeBytes;
    this.#row += count;
    return {
      rows: rows.map(({ row }) => row),
      bad,
      offset: { ...this.#offset(header) },
      doneBytes: this.#input.doneBytes(this.#position),
      isEnd: this.#position >= this.#input.sizeBytes,
      lineOf: (index) => first + kept[index]!,
    };
  }

  close(): Promise<void> {
    return this.#input.close();
  }

  #offset({ sync }: Header): AvroOffset {
    const [position, row] = [this.#position, this.#row];
    const sizeBytes = Math.max(position, Math.min(this.#input.sizeBytes, Number.MAX_SAFE_INTEGER));
    const known = this.#input.sizeBytes === Infinity ? position : sizeBytes;
    return { position, row, sizeBytes: known, sync: sync.toString('hex') };
  }

  #rowsOf(content: Buffer, count: number, decode: Decode) {
    const input = new BlockInput(content);
    const rows: { readonly row: Row; readonly index: number }[] = [];
    const bad: BadRow[] = [];
    for (let index = 0; index < count; index++) {
      input.spend();
      const start = input.at;
      const row = decode(input) as Row;
      const value = input.takeBad();
      if (value === undefined) rows.push({ row, index });
      else bad.push(this.#badRow(index, content.subarray(start, input.at), value));
    }
    if (input.at !== content.length) throw new RangeError('bytes follow on the rows of a block');
    return { rows, bad };
  }

  #badRow(index: number, raw: Buffer, { reason, option }: BadValue): BadRow {
    const { path: file } = this.#file;
    const line = this.#row + index + 1;
    const positionBytes = this.#position;
    const advice = option === undefined ? 'its writer has to write it anew' : ADVICE[option];
    const message = `${file}, row ${line}: ${reason}; ${advice}`;
    const error = new ConnectError('INVALID_AVRO', message, { file, positionBytes, reason });
    return { raw: Buffer.from(raw), line, positionBytes, error };
  }

  /**
   * Begins at an offset, or at the start if the file is followed and not the one of the offset.
   *
   * @throws ConnectError FILE_CHANGED
   */
  async #resume({ position, row, sizeBytes, sync }: AvroOffset): Promise<void> {
    const { isFollowed, path } = this.#file;
    let difference: string | undefined;
    if (this.#input.sizeBytes < (isFollowed ? position : sizeBytes)) {
      difference = `it has shrunk from ${sizeBytes} to ${this.#input.sizeBytes} bytes`;
    } else {
      this.#header = await this.#readHeader();
      const marker = await this.#view(Math.max(0, position - SYNC_BYTES), SYNC_BYTES);
      const isSame = this.#header?.sync.toString('hex') === sync && marker.toString('hex') === sync;
      if (!isSame) difference = `it has no block that ends at byte ${position}, or other ones`;
    }
    if (difference === undefined) {
      this.#position = position;
      this.#row = row;
    } else if (!isFollowed) {
      throw fileChanged(path, difference);
    }
  }

  /** Undefined if the file is followed and has none yet. */
  async #readHeader(): Promise<Header | undefined> {
    for (let length = READ_BYTES; ; length *= 4) {
      const bytes = await this.#view(0, Math.min(length, HEADER_BYTES_MAX));
      const isAll = bytes.length < length;
      try {
        return headerOf(bytes, this.#options);
      } catch (cause) {
        const mayFollow = bytes.subarray(0, MAGIC.length).equals(MAGIC) || bytes.length < 4;
        if (mayFollow && isAll && !this.#input.isWhole) return undefined;
        if (isAll || !(cause instanceof RangeError)) throw this.#damaged(cause);
      }
    }
  }

  /** Called at the end of the file, if a block should go on: more may be on its way. */
  #checkCut(): void {
    if (this.#input.isWhole) throw this.#damaged(new RangeError('its last block is cut short'));
  }

  /** Up to `length` bytes from a position on: fewer only at the end of the file. */
  async #view(position: number, length: number): Promise<Buffer> {
    const from = position - this.#base;
    const isHere = from >= 0 && from <= this.#buffer.length;
    const kept = isHere ? this.#buffer.subarray(from) : this.#buffer.subarray(0, 0);
    if (kept.length >= length) return kept.subarray(0, length);
    const end = position + kept.length;
    const leftBytes = Math.max(0, this.#input.sizeBytes - end);
    const wanted = Math.min(Math.max(length - kept.length, READ_BYTES), leftBytes);
    const buffer = Buffer.allocUnsafeSlow(kept.length + wanted);
    kept.copy(buffer);
    const readBytes = wanted === 0 ? 0 : await this.#input.read(buffer.subarray(kept.length), end);
    this.#buffer = buffer.subarray(0, kept.length + readBytes);
    this.#base = position;
    return this.#buffer.subarray(0, length);
  }

  /** @throws ConnectError INVALID_AVRO for what `read` finds wrong. */
  #guard<T>(read: () => T): T {
    try {
      return read();
    } catch (cause) {
      throw this.#damaged(cause);
    }
  }

  #damaged(cause: unknown): ConnectError {
    const { path: file } = this.#file;
    const positionBytes = this.#position;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message =
      `${file} cannot be read as Avro from byte ${positionBytes} on: ${reason}; ` +
      'copy it again, if it is a container file at all';
    return new ConnectError('INVALID_AVRO', message, { file, positionBytes, reason }, { cause });
  }
}

const ADVICE = {
  timestamps: "read times as numbers (timestamps: 'ms')",
  numbers: "read them as bigints or text (numbers: 'bigint' or 'text')",
  maps: 'its writer has to write it anew',
} as const;

/** The two numbers before a block; undefined if they are not whole. @throws RangeError */
function frameOf(head: Buffer) {
  const input = new BlockInput(head);
  let [rows, packedBytes] = [0, 0];
  try {
    rows = input.long();
    packedBytes = input.long();
  } catch (cause) {
    if (head.length < BLOCK_HEAD_BYTES) return undefined;
    throw cause;
  }
  if (rows < 0 || packedBytes < 0 || packedBytes > BLOCK_BYTES_MAX) {
    throw new RangeError(`a block of ${rows} rows and ${packedBytes} bytes`);
  }
  return { rows, packedBytes, headBytes: input.at };
}

/** @throws RangeError if it is cut short or damaged, TypeError if it is none. */
function headerOf(bytes: Buffer, options: ValueOptions): Header {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new TypeError('it does not begin like a container file of Avro');
  }
  const input = new BlockInput(bytes);
  input.skip(MAGIC.length);
  const fields = META(input) as Readonly<Record<string, Uint8Array>>;
  const start = input.skip(SYNC_BYTES);
  const sync = Buffer.from(bytes.subarray(start, input.at));
  const codec = Buffer.from(fields['avro.codec'] ?? []).toString('utf8') || 'null';
  const schema: unknown = parsed(Buffer.from(fields['avro.schema'] ?? []).toString('utf8'));
  try {
    return { sync, codec, decode: decoderOf(schema, options), sizeBytes: input.at };
  } catch (cause) {
    // Nested without end, for example.
    throw new TypeError((cause as Error).message, { cause });
  }
}

const META = decoderOf({ type: 'map', values: 'bytes' }, { timestamps: 'ms', numbers: 'bigint' });

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new TypeError('its schema is not JSON');
  }
}

/** @throws Error of any class if the bytes do not unpack. */
function unpack(codec: string, bytes: Buffer): Buffer {
  switch (codec) {
    case 'null':
      return bytes;
    case 'deflate':
      return inflateRawSync(bytes, { maxOutputLength: UNPACKED_BYTES_MAX });
    case 'snappy':
      // A CRC-32 follows.
      return decompress('snappy', bytes.subarray(0, -4), UNPACKED_BYTES_MAX);
    case 'zstandard':
      return decompress('zstd', bytes, UNPACKED_BYTES_MAX);
    default:
      throw new TypeError(`its blocks are packed with ${codec}, which cannot be read here`);
  }
}

function avroOffset(offset: SourceOffset): AvroOffset | undefined {
  const known = offset as unknown as AvroOffset;
  const { position, row, sizeBytes, sync } = known;
  const isOurs = [position, row, sizeBytes].every((each) => Number.isSafeInteger(each));
  return isOurs && position > 0 && typeof sync === 'string' ? known : undefined;
}
