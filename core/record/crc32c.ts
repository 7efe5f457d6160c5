import { createRequire } from 'node:module';

/** CRC-32C (Castagnoli), reflected, as Kafka's batches carry it: "123456789" gives e3069283. */
const POLYNOMIAL = 0x82f63b78;

/**
 * From here on the native checksum wins over the loop in JavaScript, whose call costs less
 * (measured: 128 bytes 116 ns against 156 ns, 256 bytes 218 ns against 173 ns).
 */
const NATIVE_FROM_BYTES = 192;

type Checksum = (input: Uint8Array) => number;

/** Slice-by-8: table t holds the checksum of a byte that t zero bytes follow. */
const TABLES = makeTables();
let native: Checksum | undefined;
let nativeSought = false;

/** The checksum of `bytes[start, end)`, as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  if (end - start >= NATIVE_FROM_BYTES) {
    const checksum = nativeSought ? native : findNative();
    if (checksum !== undefined) return checksum(bytes.subarray(start, end));
  }
  return crc32cOfLoop(bytes, start, end);
}

/** The same in JavaScript only: for short inputs, and where the native package does not load. */
export function crc32cOfLoop(bytes: Uint8Array, start: number, end: number): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  let crc = -1;
  let position = start;
  for (const last = end - 8; position <= last; position += 8) {
    const word =
      crc ^
      (bytes[position]! |
        (bytes[position + 1]! << 8) |
        (bytes[position + 2]! << 16) |
        (bytes[position + 3]! << 24));
    crc =
      t7[word & 0xff]! ^
      t6[(word >>> 8) & 0xff]! ^
      t5[(word >>> 16) & 0xff]! ^
      t4[word >>> 24]! ^
      t3[bytes[position + 4]!]! ^
      t2[bytes[position + 5]!]! ^
      t1[bytes[position + 6]!]! ^
      t0[bytes[position + 7]!]!;
  }
  for (; position < end; position++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[position]!) & 0xff]!;
  return (crc ^ -1) >>> 0;
}

type Table = Uint32Array;
type Tables = readonly [Table, Table, Table, Table, Table, Table, Table, Table];

function makeTables(): Tables {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256));
  const [first] = tables as [Table];
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    first[byte] = crc;
  }
  for (let slice = 1; slice < 8; slice++) {
    const [table, previous] = [tables[slice]!, tables[slice - 1]!];
    for (let byte = 0; byte < 256; byte++) {
      table[byte] = (previous[byte]! >>> 8) ^ first[previous[byte]! & 0xff]!;
    }
  }
  return tables as unknown as Tables;
}

/** The package is optional: a platform without a prebuilt binary is slower, not broken. */
function findNative(): Checksum | undefined {
  nativeSought = true;
  try {
    const loaded = createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: Checksum };
    native = loaded.crc32c;
  } catch {
    native = undefined;
  }
  return native;
}
