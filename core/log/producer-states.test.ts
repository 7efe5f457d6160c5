import { describe, expect, test } from 'vitest';
import { LogError } from '../errors.ts';
import { BATCH_OVERHEAD, type BatchHeader } from '../record/batch.ts';
import { TEST_PLACE } from '../record/records.suite.ts';
import { ProducerStates } from './producer-states.ts';

const NOW = 1_700_000_000_000;
const MAX = 0x7fff_ffff;

interface Sent {
  readonly epoch?: number;
  readonly count?: number;
  readonly isTransactional?: boolean;
  readonly producerId?: number;
}

/** Producers of a log whose next offset is `nextOffset`; tests send batches by sequence. */
class Log {
  readonly states = new ProducerStates(TEST_PLACE);
  nextOffset = 0;
  /** By default, all is durable at once. */
  durableOffset = Infinity;

  header(sequence: number, sent: Sent = {}): BatchHeader {
    const { epoch = 0, count = 1, isTransactional = false, producerId = 1 } = sent;
    return {
      baseOffset: this.nextOffset,
      sizeBytes: BATCH_OVERHEAD,
      lastOffset: this.nextOffset + count - 1,
      leaderEpoch: 0,
      crc: 0,
      codec: 'none',
      isTransactional,
      isControl: false,
      isLogAppendTime: false,
      baseTimestampMs: 0,
      maxTimestampMs: 0,
      producerId,
      producerEpoch: epoch,
      baseSequence: sequence,
      lastSequence: (sequence + count - 1) % 2 ** 31,
      recordCount: count,
    };
  }

  /** Sends a batch: `appended`, `duplicate of <base offset>`, or the code of the error. */
  send(sequence: number, sent: Sent = {}): string {
    const header = this.header(sequence, sent);
    try {
      const duplicate = this.states.check(header);
      if (duplicate !== undefined) return `duplicate of ${duplicate.baseOffset}`;
    } catch (error) {
      return error instanceof LogError ? error.code : String(error);
    }
    this.states.append(header, NOW, this.durableOffset);
    this.nextOffset = header.lastOffset + 1;
    return 'appended';
  }

  end(type: 'COMMIT' | 'ABORT', { epoch = 0, producerId = 1 } = {}) {
    const header = { ...this.header(-1, { epoch, producerId, isTransactional: true }) };
    this.nextOffset++;
    return this.states.end({ ...header, isControl: true }, type, 0, NOW);
  }
}

/** A log in which the producer has sent batches of these sequences. */
function logWith(...sequences: readonly number[]): Log {
  const log = new Log();
  for (const sequence of sequences) expect(log.send(sequence)).toBe('appended');
  return log;
}

describe('[LOG-PRODUCER-1] sequences', () => {
  test.each<[string, readonly number[], number, Sent, string]>([
    ['an unknown producer may start at 0', [], 0, {}, 'appended'],
    ['an unknown producer may start anywhere', [], 77, { epoch: 5 }, 'appended'],
    ['the next sequence is appended', [0, 1, 2], 3, {}, 'appended'],
    ['a gap is refused', [0, 1, 2], 4, {}, 'OUT_OF_ORDER_SEQUENCE_NUMBER'],
    [
      'an old sequence that is none of the five is refused',
      [3],
      2,
      {},
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
    ],
    [
      'a repeat with another count is refused',
      [0],
      0,
      { count: 2 },
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
    ],
    ['a higher epoch starts at 0', [0, 1], 0, { epoch: 1 }, 'appended'],
    ['a higher epoch does not go on', [0, 1], 2, { epoch: 1 }, 'OUT_OF_ORDER_SEQUENCE_NUMBER'],
    ['after 2^31-1 comes 0', [MAX - 1, MAX], 0, {}, 'appended'],
    ['after 2^31-1 comes nothing but 0', [MAX], 1, {}, 'OUT_OF_ORDER_SEQUENCE_NUMBER'],
    ['another producer is another matter', [0, 1], 9, { producerId: 2 }, 'appended'],
  ])('[LOG-PRODUCER-1] %s', (_, before, sequence, sent, result) => {
    expect(logWith(...before).send(sequence, sent)).toBe(result);
  });

  test('[LOG-PRODUCER-1] the sequence may wrap inside a batch', () => {
    const log = logWith(MAX - 1);
    expect(log.send(MAX, { count: 3 })).toBe('appended'); // MAX, 0, 1
    expect(log.send(MAX, { count: 3 })).toBe('duplicate of 1');
    expect(log.send(1)).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    expect(log.send(2)).toBe('appended');
  });

  test('[LOG-PRODUCER-1] a lower epoch is fenced', () => {
    const log = logWith();
    log.send(0, { epoch: 3 });
    expect(log.send(1, { epoch: 2 })).toBe('INVALID_PRODUCER_EPOCH');
    expect(log.send(0, { epoch: 2 })).toBe('INVALID_PRODUCER_EPOCH');
    expect(log.send(1, { epoch: 3 })).toBe('appended');
  });

  test('[LOG-PRODUCER-1] a refused batch changes nothing', () => {
    const log = logWith(0, 1);
    const before = structuredClone([...log.states.all()]);
    for (const sent of [{}, { epoch: 1 }, { epoch: 1, isTransactional: true }]) log.send(9, sent);
    expect([...log.states.all()]).toEqual(before);
  });

  test('[LOG-PRODUCER-1] the error names the expected sequence', () => {
    const log = logWith(0, 1);
    expect(() => log.states.check(log.header(5))).toThrow(
      expect.objectContaining({
        details: { ...TEST_PLACE, producerId: 1, sequence: 5, expectedSequence: 2 },
      }),
    );
  });
});

describe('[LOG-PRODUCER-2] duplicates', () => {
  test('[LOG-PRODUCER-2] each of the last five batches is recognised', () => {
    const log = new Log();
    for (let batch = 0; batch < 7; batch++) log.send(batch * 3, { count: 3 });
    const results = [0, 1, 2, 3, 4, 5, 6].map((batch) => log.send(batch * 3, { count: 3 }));
    expect(results).toEqual([
      ...['OUT_OF_ORDER_SEQUENCE_NUMBER', 'OUT_OF_ORDER_SEQUENCE_NUMBER'],
      ...['duplicate of 6', 'duplicate of 9', 'duplicate of 12'],
      ...['duplicate of 15', 'duplicate of 18'],
    ]);
    expect(log.send(21)).toBe('appended');
  });

  test('[LOG-PRODUCER-2] so is each of the last 512 that are not durable', () => {
    const log = new Log();
    log.durableOffset = 0;
    for (let batch = 0; batch < 600; batch++) log.send(batch * 2, { count: 2 });
    expect(log.send(87 * 2, { count: 2 })).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    expect(log.send(88 * 2, { count: 2 })).toBe(`duplicate of ${88 * 2}`);
    expect(log.send(599 * 2, { count: 2 })).toBe(`duplicate of ${599 * 2}`);
    log.durableOffset = 590 * 2; // up to batch 589
    log.send(1200, { count: 2 });
    expect(log.send(589 * 2, { count: 2 })).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    expect(log.send(590 * 2, { count: 2 })).toBe(`duplicate of ${590 * 2}`);
  });

  test('[LOG-PRODUCER-2] a batch of an earlier epoch is no duplicate', () => {
    const log = logWith(0, 1);
    expect(log.send(0, { epoch: 1 })).toBe('appended');
    expect(log.send(0, { epoch: 1 })).toBe('duplicate of 2');
    expect(log.send(1, { epoch: 1 })).toBe('appended');
  });

  test('[LOG-PRODUCER-2] a duplicate of a transaction that has ended is recognised', () => {
    const log = new Log();
    log.send(0, { isTransactional: true });
    log.end('COMMIT');
    expect(log.send(0, { isTransactional: true })).toBe('duplicate of 0');
  });
});

describe('[LOG-PRODUCER-3] transactions', () => {
  test('[LOG-PRODUCER-3] a write outside the open transaction is refused', () => {
    const log = new Log();
    log.send(0, { isTransactional: true });
    expect(log.send(1)).toBe('INVALID_TXN_STATE');
    log.end('COMMIT');
    expect(log.send(1)).toBe('appended');
  });

  test('[LOG-PRODUCER-3] a transaction is open from its first batch to its marker', () => {
    const log = new Log();
    log.send(0, { producerId: 9 });
    log.send(0, { isTransactional: true, count: 2 });
    log.send(2, { isTransactional: true });
    expect(log.states.openTransactions()).toEqual(new Map([[1, 1]]));
    log.end('COMMIT');
    expect(log.states.openTransactions()).toEqual(new Map());
    log.send(3, { isTransactional: true });
    expect(log.states.openTransactions()).toEqual(new Map([[1, 5]]));
  });

  test('[LOG-PRODUCER-3] a marker that raises the epoch lets sequences start at 0', () => {
    const log = new Log();
    log.send(0, { isTransactional: true });
    log.end('COMMIT', { epoch: 1 });
    expect(log.send(1)).toBe('INVALID_PRODUCER_EPOCH');
    expect(log.send(1, { epoch: 1 })).toBe('OUT_OF_ORDER_SEQUENCE_NUMBER');
    expect(log.send(0, { epoch: 1 })).toBe('appended');
  });

  test('[LOG-PRODUCER-3] a marker of an older epoch is refused and ends nothing', () => {
    const log = new Log();
    log.send(0, { epoch: 2, isTransactional: true });
    expect(() => log.end('ABORT', { epoch: 1 })).toThrow(LogError);
    expect(log.states.openTransactions()).toEqual(new Map([[1, 0]]));
  });

  test('[LOG-PRODUCER-3] a marker without data here leaves no aborted transaction', () => {
    const log = new Log();
    expect(log.end('ABORT')).toBeUndefined();
    expect(log.states.lastStableOffset(1)).toBe(1);
  });
});

describe('[LOG-PRODUCER-4] the last stable offset', () => {
  test('[LOG-PRODUCER-4] stops at the first open transaction', () => {
    const log = new Log();
    log.send(0);
    expect(log.states.lastStableOffset(1)).toBe(1);
    log.send(0, { producerId: 2, isTransactional: true }); // offset 1
    log.send(0, { producerId: 3, isTransactional: true }); // offset 2
    log.send(1);
    expect(log.states.lastStableOffset(4)).toBe(1);
    log.end('COMMIT', { producerId: 2 }); // offset 4
    log.states.settle(5);
    expect(log.states.lastStableOffset(5)).toBe(2);
    log.end('ABORT', { producerId: 3 }); // offset 5
    log.states.settle(6);
    expect(log.states.lastStableOffset(6)).toBe(6);
  });

  test('[LOG-PRODUCER-4] an ended transaction holds it until the marker can be read', () => {
    const log = new Log();
    log.send(0, { isTransactional: true });
    log.end('COMMIT'); // offset 1
    log.states.settle(1);
    expect(log.states.lastStableOffset(1)).toBe(0);
    log.states.settle(2);
    expect(log.states.lastStableOffset(2)).toBe(2);
  });

  test('[LOG-PRODUCER-4] it never passes the high watermark', () => {
    const log = new Log();
    log.send(0);
    log.send(1, { isTransactional: true });
    expect(log.states.lastStableOffset(1)).toBe(1);
    expect(log.states.lastStableOffset(0)).toBe(0);
  });

  test('[LOG-PRODUCER-4] an abort returns its range and the last stable offset after it', () => {
    const log = new Log();
    log.send(0, { producerId: 1, isTransactional: true }); // 0
    log.send(0, { producerId: 2, isTransactional: true }); // 1
    log.send(1, { producerId: 1, isTransactional: true }); // 2
    expect(log.end('ABORT', { producerId: 1 })).toEqual({
      producerId: 1,
      firstOffset: 0,
      lastOffset: 3,
      lastStableOffset: 1, // producer 2 is open
    });
    expect(log.end('ABORT', { producerId: 2 })).toEqual({
      producerId: 2,
      firstOffset: 1,
      lastOffset: 4,
      lastStableOffset: 5,
    });
  });
});

describe('[LOG-PRODUCER-5] forgetting', () => {
  test('[LOG-PRODUCER-5] silent producers are forgotten, open ones kept', () => {
    const log = new Log();
    log.send(0);
    log.send(0, { producerId: 2, isTransactional: true });
    const dayMs = 24 * 3600 * 1000;
    log.states.expire(NOW + dayMs);
    expect([...log.states.all()]).toHaveLength(2);
    log.states.expire(NOW + dayMs + 1);
    expect([...log.states.all()].map(({ producerId }) => producerId)).toEqual([2]);
    expect(log.send(50)).toBe('appended'); // unknown again
  });

  test('[LOG-PRODUCER-5] a restored producer continues where it was', () => {
    const log = new Log();
    log.send(4, { isTransactional: true });
    const restored = new Log();
    for (const state of log.states.all()) restored.states.restore(state);
    expect(restored.states.lastStableOffset(10)).toBe(0);
    expect(restored.send(4, { isTransactional: true })).toBe('duplicate of 0');
    expect(restored.send(5, { isTransactional: true })).toBe('appended');
  });
});
