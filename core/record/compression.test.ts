import fc from 'fast-check';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { LogError } from '../errors.ts';
import { BATCH, batchSizeBytes, checkBatch, readBatchHeader, sealBatch } from './batch.ts';
import { loadPackage } from './codecs/block-codec.ts';
import { zstd, zstdOfWasm } from './codecs/zstd.ts';
import { compress, compressionLevel, decompress, UNPACKED_BYTES_MAX } from './compression.ts';
import { KAFKA_BATCHES, LINKED_LZ4_FRAME } from './kafka-batches.suite.ts';
import { batchOf, expectedRecords, recordsOf, TEST_PLACE } from './records.suite.ts';
import { repackBatch } from './unpack.ts';

const PACKED = ['gzip', 'snappy', 'lz4', 'zstd'] as const;
const MIB = 1024 * 1024;
const TEXT = Buffer.from('{"carrier":"HA","origin":"HNL","delay":12}\n'.repeat(3000));

const raw = createRequire(import.meta.url)('snappy') as { compressSync(bytes: Buffer): Buffer };

/** Bytes that repeat themselves in part, of none to some 300 KB. */
const arbitraryBytes = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat({ max: 3000 })), {
    maxLength: 8,
  })
  .map((parts) =>
    Buffer.concat(parts.map(([bytes, times]) => Buffer.alloc(bytes.length * times, bytes))),
  );

/** A batch whose records are `block`, under a right checksum. */
function batchWithBlock(batch: Buffer, block: Buffer): Buffer {
  const changed = Buffer.concat([batch.subarray(0, BATCH.records), block]);
  changed.writeInt32BE(changed.length - 12, BATCH.length);
  sealBatch(changed, 0);
  return changed;
}

/** The error that `call` throws; fails when it throws none. */
function errorOf(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return expect.fail('no error');
}

/** The code of the error that reading the records of `batch` ends with. */
function readError(batch: Buffer): { readonly code: string; readonly message: string } {
  const error = errorOf(() => recordsOf(batch));
  if (!(error instanceof LogError)) throw error;
  return error;
}

test.each(PACKED)('[RECORD-10] %s: what was packed is unpacked, in any version of it', (codec) => {
  fc.assert(
    fc.property(arbitraryBytes, (bytes) => {
      if (bytes.length === 0) return;
      const block = compress(codec, bytes);
      expect(decompress(codec, block).equals(bytes)).toBe(true);
    }),
    { examples: [[Buffer.alloc(1)], [TEXT.subarray(0, 65_536)], [TEXT.subarray(0, 65_537)]] },
  );
});

test.each([
  ['gzip', [1, 9]],
  ['zstd', [-20, 1, 19]],
] as const)('[RECORD-10] %s tries as hard as its level says', (codec, levels) => {
  const lines = Array.from({ length: 9000 }, (_, line) => `${line},${(line * 7919) % 1013}\n`);
  const bytes = Buffer.from(lines.join(''));
  const sizes = levels.map((level) => {
    const block = compress(codec, bytes, level);
    expect(decompress(codec, block).equals(bytes)).toBe(true);
    expect(batchOf([{ value: lines.join('') }], { codec, level }).length).toBeLessThan(
      bytes.length,
    );
    return block.length;
  });
  expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
  expect(new Set(sizes).size).toBe(levels.length);
  const [level = 0] = levels;
  const options = { compressionGzipLevel: level, compressionZstdLevel: level };
  expect(compressionLevel(codec, options)).toBe(level);
});

test('[RECORD-10] zstd of Node and of the package read each other', () => {
  const blocks = [zstd.compress(TEXT), zstdOfWasm.compress(TEXT)];
  for (const block of blocks) {
    expect(block.length).toBeLessThan(TEXT.length / 100);
    expect(zstd.decompress(block, MIB).equals(TEXT)).toBe(true);
  }
});

test('[RECORD-10] snappy and lz4 have no level', () => {
  const levels = { compressionGzipLevel: 9, compressionZstdLevel: 9 };
  expect(compressionLevel('snappy', levels)).toBeUndefined();
  expect(compressionLevel('lz4', levels)).toBeUndefined();
});

test.each(PACKED)('[RECORD-14] %s: a batch that Kafka wrote is read', (codec) => {
  const batch = Buffer.from(KAFKA_BATCHES[codec].join(''), 'base64');
  expect(checkBatch(batch, 0, batch.length)).toBeUndefined();
  expect(readBatchHeader(batch, 0).codec).toBe(codec);
  const timestampMs = 1_700_000_000_000;
  expect(recordsOf(batch)).toEqual(
    expectedRecords([
      { timestampMs, key: 'k0', value: 'millrace '.repeat(8000) },
      {
        timestampMs: timestampMs + 1,
        headers: [
          ['h', 'x'],
          ['none', null],
        ],
      },
      { timestampMs: timestampMs + 2, key: 'k2', value: '' },
    ]),
  );
});

test('[RECORD-14] snappy is framed as snappy-java does it, in blocks of 32 KB', () => {
  const block = compress('snappy', TEXT.subarray(0, 40_000));
  expect(block.toString('hex', 0, 16)).toBe('82534e41505059000000000100000001');
  const first = block.readInt32BE(16);
  expect(block.subarray(20, 20 + first)).toEqual(raw.compressSync(TEXT.subarray(0, 32_768)));
  const second = block.subarray(20 + first);
  expect(second.readInt32BE(0)).toBe(second.length - 4);
  expect(second.subarray(4)).toEqual(raw.compressSync(TEXT.subarray(32_768, 40_000)));
});

test('[RECORD-14] lz4 is framed as Kafka does it, in blocks of 64 KB', () => {
  for (const sizeBytes of [1, 65_536, 65_537, TEXT.length]) {
    const frame = compress('lz4', TEXT.subarray(0, sizeBytes));
    // Magic, version 1 with independent blocks, 64 KB, checksum of these two.
    expect(frame.toString('hex', 0, 7)).toBe('04224d18604082');
    let count = 0;
    let at = 7;
    for (let length = 0; (length = frame.readUInt32LE(at)) !== 0; count++) {
      at += 4 + (length & 0x7fff_ffff);
    }
    expect(count).toBe(Math.ceil(sizeBytes / 65_536));
    expect(at).toBe(frame.length - 4);
  }
});

test('[RECORD-15] raw snappy is read', () => {
  expect(decompress('snappy', raw.compressSync(TEXT)).equals(TEXT)).toBe(true);
});

test('[RECORD-15] an lz4 frame of linked blocks with all checksums and a size is read', () => {
  const frame = Buffer.from(LINKED_LZ4_FRAME.join(''), 'base64');
  const text = 'millrace '.repeat(12_000);
  expect(decompress('lz4', frame).toString()).toBe(text);
  for (let at = 0; at < frame.length; at++) {
    const damaged = Buffer.from(frame);
    damaged[at]! ^= 0x10;
    expect(() => decompress('lz4', damaged), `byte ${at}`).toThrow();
  }
});

test.each(PACKED)('[RECORD-16] %s: no more is unpacked than may be', (codec) => {
  const block = compress(codec, Buffer.alloc(4 * MIB));
  expect(decompress(codec, block, 4 * MIB).length).toBe(4 * MIB);
  const dense = Buffer.from(Array.from({ length: 100 }, (_, index) => (index * 97) % 256));
  expect(decompress(codec, compress(codec, dense), 100)).toEqual(dense); // stored, not packed
  for (const limit of [1, 1000, 64 * 1024, MIB, 4 * MIB - 1])
    expect(errorOf(() => decompress(codec, block, limit))).toBeInstanceOf(RangeError);
});

/** What unpacks to 1 MiB more than the limit, made without ever having that much. */
function bomb(codec: (typeof PACKED)[number]): Buffer {
  const times = UNPACKED_BYTES_MAX / MIB + 1;
  const zeros = Buffer.alloc(MIB);
  const repeated = (block: Buffer) => Buffer.alloc(block.length * times, block);
  if (codec === 'gzip') return repeated(gzipSync(zeros)); // members, one after the other
  const block = compress(codec, zeros);
  if (codec === 'zstd') return repeated(block); // frames
  if (codec === 'snappy')
    return Buffer.concat([block.subarray(0, 16), repeated(block.subarray(16))]);
  return Buffer.concat([block.subarray(0, 7), repeated(block.subarray(7, -4)), Buffer.alloc(4)]);
}

test.each(PACKED)('[RECORD-16] %s: a batch that unpacks to 257 MiB is CORRUPT_MESSAGE', (codec) => {
  const batch = batchWithBlock(batchOf([{}], { codec }), bomb(codec));
  const { code, message } = readError(batch);
  expect(code).toBe('CORRUPT_MESSAGE');
  expect(message).toContain(`test-0: the ${codec} block of the batch at offset 0 is damaged: `);
});

test('[RECORD-16] a block that claims to be huge takes no memory', () => {
  const claims = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]);
  expect(() => decompress('snappy', claims)).toThrow('unpacks to more than 268435456 bytes');
  // An lz4 frame that says it has 2^60 bytes of content; some header checksum is the right one.
  const frame = Buffer.from('04224d186840000000000000001000010000807a00000000', 'hex');
  for (let checksum = 0; checksum < 256; checksum++) {
    frame[14] = checksum;
    expect(() => decompress('lz4', frame)).toThrow();
  }
});

const damage = fc.record({
  edits: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
  cutBytes: fc.option(fc.nat()),
});

test.each(PACKED)('[RECORD-17] %s: damage is an error or harmless, and soon forgotten', (codec) => {
  const bytes = TEXT.subarray(0, 100_000);
  const block = compress(codec, bytes);
  const limit = 200_000;
  let errorCount = 0;
  const tryOut = (damaged: Buffer) => {
    const original = Buffer.from(damaged);
    try {
      expect(decompress(codec, damaged, limit).length).toBeLessThanOrEqual(limit);
    } catch (error) {
      expect(error).toBeInstanceOf(Error);
      expect(error).not.toHaveProperty('matcherResult');
      errorCount++;
    }
    expect(damaged.equals(original)).toBe(true);
    expect(decompress(codec, block, limit).equals(bytes)).toBe(true);
  };
  fc.assert(
    fc.property(damage, ({ edits, cutBytes }) => {
      const end = cutBytes === null ? block.length : cutBytes % block.length;
      const damaged = Buffer.from(block.subarray(0, end));
      for (const [at, byte] of edits) if (end > 0) damaged[at % end] = byte;
      tryOut(damaged);
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (random) => tryOut(Buffer.from(random))),
  );
  expect(errorCount).toBeGreaterThan(200);
});

test.each(PACKED)('[RECORD-17] %s: a block cut anywhere is CORRUPT_MESSAGE', (codec) => {
  const value = TEXT.toString('latin1', 0, 70_000);
  const batch = batchOf([{ value }, { key: 'k' }, { value }], { codec });
  const block = batch.subarray(BATCH.records);
  const step = Math.ceil(block.length / 300);
  for (let end = 0; end < block.length; end += step) {
    expect(readError(batchWithBlock(batch, block.subarray(0, end))).code).toBe('CORRUPT_MESSAGE');
  }
  expect(recordsOf(batchWithBlock(batch, block)).length).toBe(3);
});

test.each(['none', ...PACKED] as const)('[RECORD-19] a batch is packed anew with %s', (codec) => {
  const records = [
    { timestampMs: 7, key: 'k', value: 'v'.repeat(5000) },
    { headers: [['h', 'x']] as const },
  ];
  const seal = { producerId: 5, producerEpoch: 1, baseSequence: 9, isTransactional: true };
  for (const before of ['none', ...PACKED] as const) {
    const batch = batchOf(records, { ...seal, codec: before });
    const packed = repackBatch(batch, { codec, level: undefined, place: TEST_PLACE });
    expect(checkBatch(packed, 0, packed.length)).toBeUndefined();
    expect(batchSizeBytes(packed, 0)).toBe(packed.length);
    const { sizeBytes, crc, ...header } = readBatchHeader(batch, 0);
    expect(readBatchHeader(packed, 0)).toMatchObject({ ...header, codec });
    expect(recordsOf(packed)).toEqual(expectedRecords(records));
    expect([sizeBytes, crc]).toEqual([batch.length, batch.readUInt32BE(BATCH.crc)]); // untouched
  }
});

test('[RECORD-20] a package that does not load is UNSUPPORTED_COMPRESSION_TYPE', () => {
  const error = errorOf(() => loadPackage('lz4', './no-such-package'));
  expect(LogError.is(error, 'UNSUPPORTED_COMPRESSION_TYPE')).toBe(true);
  expect(error).toMatchObject({ details: { codec: 'lz4' } });
  expect((error as LogError).message).toContain('need the package ./no-such-package');
});
