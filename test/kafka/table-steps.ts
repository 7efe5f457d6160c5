import { setTimeout as wait } from 'node:timers/promises';
import type { Codec } from 'millrace';
import type { ManualClock } from 'millrace/testing';
import type { RecordToSend, Step } from './player.ts';

const BEGIN_MS = 1_700_000_000_000;

/** Advances the clock until `isDone`: housekeeping runs every few seconds of the clock. */
export async function keepHouse(
  clock: ManualClock,
  isDone: () => boolean | Promise<boolean>,
): Promise<void> {
  for (let turn = 0; !(await isDone()); turn++) {
    if (turn > 500) throw new TypeError('housekeeping did not come to that');
    clock.advance(5000);
    await wait(10);
  }
}

/** Records of few keys, some of them tombstones; `round` decides which. */
export function tableRecords(round: number, beginMs = BEGIN_MS): RecordToSend[] {
  return Array.from({ length: 1 + (round % 3) }, (_, index) => ({
    key: `k${(round * 5 + index * 3) % 11}`,
    value: (round + index) % 6 === 0 ? null : `value ${round}.${index} ${'x'.repeat(round % 40)}`,
    headers: index === 0 ? [] : [['h', `${round}`] as const],
    timestampMs: beginMs + round * 20_000 + index,
  }));
}

/**
 * Tables: one topic per codec, and one with overlapping transactions, every third of them aborted.
 * In each, one producer writes once and is overwritten, so that only the sequence of its batch
 * remains.
 * @param beginMs of the first record in a transaction: markers have the time of their creation.
 */
export function tableSteps(
  config: Readonly<Record<string, string>>,
  codecs: readonly Codec[],
  beginMs = BEGIN_MS,
): Step[] {
  const steps: Step[] = [];
  for (const codec of codecs) {
    const topic = `table-${codec}`;
    const kind = { codec, isIdempotent: true, isTransactional: false };
    steps.push({ do: 'topic', topic, partitions: 1, config });
    for (const producer of [topic, `${topic}-once`]) {
      steps.push({ do: 'producer', producer, ...kind });
    }
    const once = { do: 'send', producer: `${topic}-once`, topic, partition: 0 } as const;
    steps.push({ ...once, records: tableRecords(0) }, ...moreOf(topic, topic));
  }
  return [...steps, ...transactionSteps('table-tx', config, beginMs)];
}

/** Thirty batches of one producer. */
export function moreOf(topic: string, producer: string, from = 1): Step[] {
  return Array.from({ length: 30 }, (_, index) => {
    const records = tableRecords(from + index);
    return { do: 'send', producer, topic, partition: 0, records };
  });
}

function transactionSteps(
  topic: string,
  config: Readonly<Record<string, string>>,
  beginMs: number,
): Step[] {
  const steps: Step[] = [{ do: 'topic', topic, partitions: 1, config }];
  const producers = [`${topic}-a`, `${topic}-b`];
  for (const producer of producers) {
    const kind = { codec: 'none', isIdempotent: true, isTransactional: true };
    steps.push({ do: 'producer', producer, ...kind });
  }
  for (let round = 0; round < 24; round++) {
    const producer = producers[round % 2]!;
    if (round >= 2) steps.push({ do: round % 3 === 0 ? 'abort' : 'commit', producer });
    steps.push({ do: 'begin', producer });
    const records = tableRecords(round, beginMs);
    steps.push({ do: 'send', producer, topic, partition: 0, records });
  }
  for (const producer of producers) steps.push({ do: 'commit', producer });
  return steps;
}
