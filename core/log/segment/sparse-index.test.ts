import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OffsetIndex, TimeIndex, type TimeEntry } from './sparse-index.ts';

const BASE = 1_000_000;

interface OffsetEntry {
  readonly offset: number;
  readonly position: number;
}

/** Entries like those of a segment: its first batch never has one, so positions begin above 0. */
const offsetEntries: fc.Arbitrary<OffsetEntry[]> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 61, max: 9000 })), {
    maxLength: 200,
  })
  .map((steps) => {
    let [offset, position] = [BASE, 0];
    return steps.map(([offsets, bytes]) => {
      offset += offsets;
      position += bytes;
      return { offset, position };
    });
  });

const timeEntries: fc.Arbitrary<TimeEntry[]> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 1e12 }), fc.integer({ min: 0, max: 50 })), {
    maxLength: 200,
  })
  .map((steps) => {
    let [timestampMs, offset] = [0, BASE];
    return steps.map(([time, offsets]) => {
      timestampMs += time;
      offset += offsets;
      return { timestampMs, offset };
    });
  });

function offsetIndex(entries: readonly OffsetEntry[]): OffsetIndex {
  const index = new OffsetIndex(BASE);
  for (const { offset, position } of entries) index.append(offset, position);
  return index;
}

function timeIndex(entries: readonly TimeEntry[]): TimeIndex {
  const index = new TimeIndex(BASE);
  for (const { timestampMs, offset } of entries) index.maybeAppend(timestampMs, offset);
  return index;
}

/** The entries of an index, decoded from its encoded form. */
function offsetEntriesOf(index: OffsetIndex): OffsetEntry[] {
  const bytes = index.encode(0);
  return Array.from({ length: bytes.length / 8 }, (_, each) => ({
    offset: BASE + bytes.readInt32BE(each * 8),
    position: bytes.readInt32BE(each * 8 + 4),
  }));
}

function timeEntriesOf(index: TimeIndex): TimeEntry[] {
  const bytes = index.encode(0);
  return Array.from({ length: bytes.length / 12 }, (_, each) => ({
    timestampMs: Number(bytes.readBigInt64BE(each * 12)),
    offset: BASE + bytes.readInt32BE(each * 12 + 8),
  }));
}

test('[LOG-INDEX-1] entries have exactly these bytes', () => {
  const offsets = offsetIndex([{ offset: BASE + 9, position: 4200 }]);
  expect(offsets.encode(0).toString('hex')).toBe('00000009' + '00001068');
  const times = timeIndex([{ timestampMs: 1_700_000_000_000, offset: BASE + 9 }]);
  expect(times.encode(0).toString('hex')).toBe('0000018bcfe56800' + '00000009');
});

test('[LOG-INDEX-1] an index loads what it wrote, whole or from any entry on', () => {
  fc.assert(
    fc.property(offsetEntries, timeEntries, fc.nat(200), (offsets, times, from) => {
      const written = offsetIndex(offsets);
      expect(offsetEntriesOf(written)).toEqual(offsets);
      const first = Math.min(from, offsets.length);
      expect(written.encode(first).equals(written.encode(0).subarray(first * 8))).toBe(true);
      const read = new OffsetIndex(BASE);
      expect(read.load(written.encode(0), Infinity, Infinity)).toBe('whole');
      expect(offsetEntriesOf(read)).toEqual(offsets);
      expect(read.last()).toEqual(offsets.at(-1));

      const writtenTimes = timeIndex(times);
      expect(timeEntriesOf(writtenTimes)).toEqual(times);
      const readTimes = new TimeIndex(BASE);
      expect(readTimes.load(writtenTimes.encode(0), Infinity)).toBe('whole');
      expect(timeEntriesOf(readTimes)).toEqual(times);
      expect(readTimes.last()).toEqual(times.at(-1));
    }),
  );
});

test('[LOG-INDEX-2] a lookup by offset finds the same entry as a linear scan', () => {
  fc.assert(
    fc.property(offsetEntries, fc.nat(12_000), (entries, above) => {
      const index = offsetIndex(entries);
      const check = (offset: number) => {
        const last = entries.findLast((entry) => entry.offset <= offset);
        expect(index.lookup(offset)).toEqual({
          position: last?.position ?? 0,
          lastOffset: last?.offset,
        });
      };
      for (const { offset } of entries) [offset - 1, offset, offset + 1].forEach(check);
      check(BASE + above);
      index.distrust();
      expect(index.lookup(BASE + above)).toEqual({ position: 0, lastOffset: undefined });
    }),
  );
});

test('[LOG-INDEX-2] a lookup by time finds the same entry as a linear scan', () => {
  fc.assert(
    fc.property(timeEntries, fc.maxSafeNat(), (entries, time) => {
      const index = timeIndex(entries);
      const check = (timestampMs: number) => {
        const last = entries.findLast((entry) => entry.timestampMs < timestampMs);
        expect(index.lookup(timestampMs)).toEqual(last);
      };
      for (const { timestampMs } of entries) {
        [timestampMs - 1, timestampMs, timestampMs + 1].forEach(check);
      }
      check(time);
    }),
  );
});

test('[LOG-INDEX-3] times that do not rise are left out', () => {
  const index = new TimeIndex(BASE);
  for (const [offset, timestampMs] of [5, 5, 3, 9, 9, 8].entries()) {
    index.maybeAppend(timestampMs, BASE + offset);
  }
  expect(timeEntriesOf(index)).toEqual([
    { timestampMs: 5, offset: BASE },
    { timestampMs: 9, offset: BASE + 3 },
  ]);
});

test('[LOG-INDEX-4] the whole entries of a file cut anywhere are loaded', () => {
  fc.assert(
    fc.property(offsetEntries, timeEntries, fc.nat(), (offsets, times, cut) => {
      const bytes = offsetIndex(offsets).encode(0);
      const size = cut % (bytes.length + 1);
      const index = new OffsetIndex(BASE);
      expect(index.load(bytes.subarray(0, size), Infinity, Infinity)).toBe(
        size % 8 === 0 ? 'whole' : 'damaged',
      );
      expect(offsetEntriesOf(index)).toEqual(offsets.slice(0, Math.floor(size / 8)));

      const timeBytes = timeIndex(times).encode(0);
      const timeSize = cut % (timeBytes.length + 1);
      const timesRead = new TimeIndex(BASE);
      expect(timesRead.load(timeBytes.subarray(0, timeSize), Infinity)).toBe(
        timeSize % 12 === 0 ? 'whole' : 'damaged',
      );
      expect(timeEntriesOf(timesRead)).toEqual(times.slice(0, Math.floor(timeSize / 12)));
    }),
  );
});

test('[LOG-INDEX-4] the zeros of a preallocated file of Kafka are no entries', () => {
  fc.assert(
    fc.property(offsetEntries, timeEntries, (offsets, times) => {
      const padded = Buffer.concat([offsetIndex(offsets).encode(0), Buffer.alloc(80)]);
      const index = new OffsetIndex(BASE);
      expect(index.load(padded, Infinity, Infinity)).toBe('damaged');
      expect(offsetEntriesOf(index)).toEqual(offsets);

      const paddedTimes = Buffer.concat([timeIndex(times).encode(0), Buffer.alloc(120)]);
      const timesRead = new TimeIndex(BASE);
      expect(timesRead.load(paddedTimes, Infinity)).toBe('damaged');
      expect(timeEntriesOf(timesRead)).toEqual(times);
    }),
    { examples: [[[], []]] },
  );
});

test('[LOG-INDEX-4] entries that point beyond the log, and all after them, are ignored', () => {
  fc.assert(
    fc.property(offsetEntries, timeEntries, fc.nat(200), (offsets, times, at) => {
      const limit = offsets[at % Math.max(1, offsets.length)];
      const bytes = offsetIndex(offsets).encode(0);
      for (const [sizeBytes, endOffset] of [
        [limit?.position ?? 0, Infinity],
        [Infinity, limit?.offset ?? 0],
      ] as const) {
        const index = new OffsetIndex(BASE);
        expect(index.load(bytes, sizeBytes, endOffset)).toBe(
          offsets.length === 0 ? 'whole' : 'beyond',
        );
        const inside = offsets.filter((e) => e.position < sizeBytes && e.offset < endOffset);
        expect(offsetEntriesOf(index)).toEqual(inside);
      }
      const endOffset = times[at % Math.max(1, times.length)]?.offset ?? 0;
      const index = new TimeIndex(BASE);
      expect(index.load(timeIndex(times).encode(0), endOffset)).toBe(
        times.length === 0 ? 'whole' : 'beyond',
      );
      expect(timeEntriesOf(index)).toEqual(times.filter(({ offset }) => offset < endOffset));
    }),
  );
});

test('[LOG-INDEX-4] whatever the bytes, loaded entries rise and are within the log', () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(offsetEntries, timeEntries, edits, (offsets, times, changes) => {
      const damage = (bytes: Buffer) => {
        for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        return bytes;
      };
      const index = new OffsetIndex(BASE);
      index.load(damage(offsetIndex(offsets).encode(0)), 500_000, BASE + 4000);
      let [offset, position] = [BASE - 1, 0];
      for (const entry of offsetEntriesOf(index)) {
        expect(entry.offset).toBeGreaterThan(offset);
        expect(entry.position).toBeGreaterThan(position);
        ({ offset, position } = entry);
      }
      expect(offset).toBeLessThan(BASE + 4000);
      expect(position).toBeLessThan(500_000);

      const timesRead = new TimeIndex(BASE);
      timesRead.load(damage(timeIndex(times).encode(0)), BASE + 4000);
      let [timestampMs, timeOffset] = [-Infinity, BASE];
      for (const entry of timeEntriesOf(timesRead)) {
        expect(entry.timestampMs).toBeGreaterThan(timestampMs);
        expect(entry.offset).toBeGreaterThanOrEqual(timeOffset);
        [timestampMs, timeOffset] = [entry.timestampMs, entry.offset];
      }
      expect(timeOffset).toBeLessThan(BASE + 4000);
    }),
  );
});
