import { BATCH, readBatchHeader, type BatchHeader } from './batch.ts';
import { type LogError } from '../errors.ts';
import { NO_HEADERS, type Header, type Headers } from './record.ts';
import { malformed, unpackRecords, type RecordPlace } from './unpack.ts';

/** Stands for the position of a null key or value. */
export const NULL_POSITION = -1;

/**
 * Walks over the records of one batch and gives the positions of their parts, without copying or
 * building anything. One cursor serves many batches: call `open` again.
 */
export class RecordCursor {
  /** The batch that is open. */
  header!: BatchHeader;
  /** The bytes that the positions below refer to: as fetched, or unpacked. */
  source: Buffer = EMPTY;
  offset = 0;
  timestampMs = 0;
  /** Where this record begins, with its length; it ends at `recordEnd`. */
  recordStart = 0;
  /** NULL_POSITION for a null key. */
  keyStart = NULL_POSITION;
  keyEnd = 0;
  /** NULL_POSITION for a null value. */
  valueStart = NULL_POSITION;
  valueEnd = 0;
  readonly #place: RecordPlace;
  #headersPosition = 0;
  #position = 0;
  #end = 0;
  #remaining = 0;

  /** @param place that errors name. */
  constructor(place: RecordPlace) {
    this.#place = place;
  }

  /**
   * Starts at the first record of the batch at `position`, which `checkBatch` found sound.
   *
   * @throws LogError UNSUPPORTED_COMPRESSION_TYPE
   * @throws LogError CORRUPT_MESSAGE if the records do not unpack, or unpack to too much.
   */
  open(source: Buffer, position: number): void {
    const header = readBatchHeader(source, position);
    this.header = header;
    this.#remaining = header.recordCount;
    if (header.codec === 'none') {
      this.source = source;
      this.#position = position + BATCH.records;
      this.#end = position + header.sizeBytes;
      return;
    }
    this.source = unpackRecords(source, position, this.#place);
    this.#position = 0;
    this.#end = this.source.length;
  }

  /**
   * Moves to the next record; false after the last one.
   *
   * @throws LogError CORRUPT_MESSAGE if lengths point outside the record: the checksum is right, so
   *   the producer built a malformed batch.
   */
  next(): boolean {
    if (this.#remaining === 0) {
      if (this.#position !== this.#end) throw this.#malformed('record count');
      return false;
    }
    this.#remaining--;
    const { source, header } = this;
    this.recordStart = this.#position;
    const length = this.#readVarint();
    const recordEnd = this.#position + length;
    if (length < 0 || recordEnd > this.#end) throw this.#malformed('record length');
    this.#position++; // attributes, unused
    const timestampDelta = this.#readVarlong();
    this.timestampMs = header.isLogAppendTime
      ? header.maxTimestampMs
      : header.baseTimestampMs + timestampDelta;
    this.offset = header.baseOffset + this.#readVarint();
    const keyLength = this.#readVarint();
    if (keyLength < 0) {
      this.keyStart = NULL_POSITION;
    } else {
      this.keyStart = this.#position;
      this.keyEnd = this.#position += keyLength;
    }
    const valueLength = this.#readVarint();
    if (valueLength < 0) {
      this.valueStart = NULL_POSITION;
    } else {
      this.valueStart = this.#position;
      this.valueEnd = this.#position += valueLength;
    }
    // One check for all: a length that points outside has moved the position past the end.
    if (this.#position >= recordEnd) throw this.#malformed('key or value length');
    this.#headersPosition = this.#position;
    if (source[this.#position] === 0 && this.#position + 1 !== recordEnd) {
      throw this.#malformed('record length');
    }
    this.#position = recordEnd;
    return true;
  }

  get recordEnd(): number {
    return this.#position;
  }

  /** The headers of this record, built on demand; their values are views of `source`. */
  get headers(): Headers {
    if (this.source[this.#headersPosition] === 0) return NO_HEADERS;
    return this.#readHeaders();
  }

  /** True when this record has no headers, without building them. */
  get hasHeaders(): boolean {
    return this.source[this.#headersPosition] !== 0;
  }

  #readHeaders(): Headers {
    const end = this.#position; // where this record ends
    this.#position = this.#headersPosition;
    try {
      const count = this.#readVarint();
      const headers: Header[] = [];
      for (let index = 0; index < count; index++) {
        const key = this.#readSlice(this.#readVarint(), end).toString('utf8');
        const valueLength = this.#readVarint();
        headers.push({ key, value: valueLength < 0 ? null : this.#readSlice(valueLength, end) });
      }
      if (count < 0 || this.#position !== end) throw this.#malformed('header count');
      return headers;
    } finally {
      this.#position = end;
    }
  }

  #readSlice(length: number, end: number): Buffer {
    const start = this.#position;
    if (length < 0 || start + length > end) throw this.#malformed('header');
    this.#position += length;
    return this.source.subarray(start, this.#position);
  }

  #malformed(what: string): LogError {
    const reason = `${what} out of range in the batch at offset ${this.header.baseOffset}`;
    return malformed(this.#place, reason);
  }

  #readVarint(): number {
    const { source } = this;
    let byte = source[this.#position++]!;
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    let zigzag = byte & 0x7f;
    for (let shift = 7; shift < 35; shift += 7) {
      byte = source[this.#position++]!;
      zigzag |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (zigzag >>> 1) ^ -(zigzag & 1);
    }
    throw this.#malformed('varint');
  }

  #readVarlong(): number {
    const { source } = this;
    let byte = source[this.#position++]!;
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    const isNegative = (byte & 1) === 1;
    let magnitude = (byte & 0x7f) >>> 1;
    let factor = 0x40;
    for (let count = 1; count < 10; count++) {
      byte = source[this.#position++]!;
      magnitude += (byte & 0x7f) * factor;
      if (byte < 0x80) return isNegative ? -1 - magnitude : magnitude;
      factor *= 0x80;
    }
    throw this.#malformed('varlong');
  }
}

const EMPTY = Buffer.alloc(0);
