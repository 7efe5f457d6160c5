import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { decodeSnapshot, encodeSnapshot, writeSnapshot } from './producer-snapshot.ts';
import type { ProducerState } from './producer-states.ts';

const MAX_SEQUENCE = 0x7fff_ffff;

const batch = fc
  .record({
    lastSequence: fc.integer({ min: 0, max: MAX_SEQUENCE }),
    count: fc.integer({ min: 1, max: 1000 }),
    lastOffset: fc.integer({ min: 1000, max: 2 ** 50 }),
  })
  .map(({ lastSequence, count, lastOffset }) => ({
    firstSequence: (lastSequence - (count - 1) + 2 ** 31) % 2 ** 31,
    lastSequence,
    baseOffset: lastOffset - (count - 1),
    lastOffset,
  }));

const state: fc.Arbitrary<ProducerState> = fc.record({
  producerId: fc.maxSafeNat(),
  epoch: fc.integer({ min: 0, max: 0x7fff }),
  batches: fc.array(batch, { maxLength: 5 }),
  transactionFirstOffset: fc.oneof(fc.constant(-1), fc.maxSafeNat()),
  coordinatorEpoch: fc.integer({ min: -1, max: MAX_SEQUENCE }),
  lastAppendMs: fc.maxSafeNat(),
});

test('[LOG-SNAPSHOT-1] a snapshot has exactly these bytes', () => {
  const bytes = encodeSnapshot([
    {
      producerId: 7,
      epoch: 2,
      batches: [{ firstSequence: 3, lastSequence: 5, baseOffset: 40, lastOffset: 42 }],
      transactionFirstOffset: 41,
      coordinatorEpoch: 6,
      lastAppendMs: 1_700_000_000_000,
    },
  ]);
  expect(bytes.toString('hex').replace(/^(.{4}).{8}/, '$1')).toBe(
    [
      '0001' + '00000001', // version, count; the checksum between them is left out
      '0000000000000007' + '0002' + '00000005' + '000000000000002a' + '00000002',
      '0000018bcfe56800' + '00000006' + '0000000000000029',
    ].join(''),
  );
});

test('[LOG-SNAPSHOT-1] a snapshot has the state and newest batch of each producer', () => {
  fc.assert(
    fc.property(fc.array(state, { maxLength: 10 }), (states) => {
      const read = decodeSnapshot(encodeSnapshot(states));
      expect(read).toEqual(states.map((each) => ({ ...each, batches: each.batches.slice(-1) })));
    }),
  );
});

test('[LOG-SNAPSHOT-2] a snapshot that was cut or altered anywhere is rejected', () => {
  fc.assert(
    fc.property(fc.array(state, { maxLength: 4 }), fc.nat(), fc.nat(7), (states, at, bit) => {
      const sound = encodeSnapshot(states);
      expect(decodeSnapshot(sound.subarray(0, at % sound.length))).toBeUndefined();
      expect(decodeSnapshot(Buffer.concat([sound, Buffer.alloc(1 + (at % 50))]))).toBeUndefined();
      const flipped = Buffer.from(sound);
      flipped[at % sound.length]! ^= 1 << bit;
      expect(decodeSnapshot(flipped)).toBeUndefined();
    }),
  );
  expect(decodeSnapshot(Buffer.alloc(0))).toBeUndefined();
  expect(decodeSnapshot(Buffer.alloc(10))).toBeUndefined();
});

test('[LOG-SNAPSHOT-3] the newest two snapshots are kept', async () => {
  const fileSystem = new MemoryFileSystem();
  await fileSystem.makeDirectory('/p');
  await fileSystem.createExclusive('/p/00000000000000000003.log', Buffer.alloc(0));
  for (const offset of [3, 7, 7, 20, 1_000_000]) {
    await writeSnapshot(fileSystem, '/p', { offset, snapshot: encodeSnapshot([]) });
  }
  const names = (await fileSystem.list('/p')).map(({ name }) => name).sort();
  expect(names).toEqual([
    '00000000000000000003.log',
    '00000000000000000020.snapshot',
    '00000000000001000000.snapshot',
  ]);
});
