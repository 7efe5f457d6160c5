/**
 * The floor: the cost of a hand-written loop over the same bytes with the same codec. One thread,
 * one file, and nothing else: no offsets, index, transaction or recovery. The other benchmarks
 * report multiples of it.
 */
import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';

/** Kafka's default `batch.size`. */
export const BATCH_BYTES = 16_384;
const HEADER_BYTES = 61;
/** Lengths, deltas and counts around a value of about a hundred bytes, as in Kafka's record. */
const RECORD_BYTES = 12;
const READ_BYTES = 1024 * 1024;

/** Writes values into batches: header with checksum, then the records, each after its length. */
export class FloorWriter {
  readonly #file: number;
  readonly #batch = Buffer.alloc(BATCH_BYTES);
  readonly #isSynced: boolean;
  #position = HEADER_BYTES;

  constructor(
    directory: string,
    options: { readonly name?: string; readonly isSynced?: boolean } = {},
  ) {
    this.#file = openSync(join(directory, options.name ?? 'floor.log'), 'w');
    this.#isSynced = options.isSynced ?? false;
  }

  write(value: string): void {
    const batch = this.#batch;
    if (this.#position + RECORD_BYTES + value.length * 3 > BATCH_BYTES) this.flush();
    const start = this.#position + RECORD_BYTES;
    const size = batch.write(value, start);
    batch.writeInt32BE(size, this.#position);
    this.#position = start + size;
  }

  flush(): void {
    if (this.#position === HEADER_BYTES) return;
    const batch = this.#batch;
    batch.writeInt32BE(this.#position, 8);
    batch.writeUInt32BE(crc32c(batch.subarray(21, this.#position)), 17);
    writeSync(this.#file, batch, 0, this.#position);
    this.#position = HEADER_BYTES;
  }

  close(): void {
    this.flush();
    if (this.#isSynced) fdatasyncSync(this.#file);
    closeSync(this.#file);
  }
}

/**
 * Reads a file of `FloorWriter`, checks each batch, and calls `visit` with each value's position.
 */
export function floorRead(
  directory: string,
  visit: (source: Buffer, start: number, end: number) => void,
  name = 'floor.log',
): void {
  const file = openSync(join(directory, name), 'r');
  let buffer = Buffer.alloc(READ_BYTES);
  let filled = 0;
  for (;;) {
    const count = readSync(file, buffer, filled, buffer.length - filled, null);
    filled += count;
    let at = 0;
    while (filled - at >= HEADER_BYTES) {
      const size = buffer.readInt32BE(at + 8);
      if (size > filled - at) break;
      const crc = crc32c(buffer.subarray(at + 21, at + size));
      if (crc !== buffer.readUInt32BE(at + 17)) throw new Error('the floor wrote a bad batch');
      for (let position = at + HEADER_BYTES; position < at + size;) {
        const start = position + RECORD_BYTES;
        const end = start + buffer.readInt32BE(position);
        visit(buffer, start, end);
        position = end;
      }
      at += size;
    }
    if (count === 0) break;
    const rest = Buffer.alloc(READ_BYTES);
    filled = buffer.copy(rest, 0, at, filled);
    buffer = rest;
  }
  closeSync(file);
}
