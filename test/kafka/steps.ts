import fc from 'fast-check';
import { LogError } from '../../core/errors.ts';
import { CODECS, type Codec } from '../../core/record/batch.ts';
import { compress } from '../../core/record/compression.ts';
import type { RecordToSend, Step } from './player.ts';

/** The codecs that this build can write. */
export const KNOWN_CODECS: readonly Codec[] = CODECS.filter((codec) => {
  try {
    compress(codec, Buffer.from('any'));
    return true;
  } catch (error) {
    if (LogError.is(error, 'UNSUPPORTED_COMPRESSION_TYPE')) return false;
    throw error;
  }
});

/** A time that no retention reaches: 2023. */
const BEGIN_MS = 1_700_000_000_000;

/** Kafka's segments have at least a megabyte, but may cover any short time. */
const MANY_SEGMENTS = { 'segment.ms': '300000', 'index.interval.bytes': '200' };

const text: fc.Arbitrary<string> = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.integer({ min: 60, max: 9000 }).map((length) => 'long '.repeat(length / 5)),
);

/** Records of every shape: null and empty keys and values, headers, timestamps out of order. */
export const recordToSend: fc.Arbitrary<RecordToSend> = fc.record({
  key: fc.option(text),
  value: fc.option(text),
  headers: fc.array(
    fc.tuple<[string, string | null]>(
      fc.string({ unit: 'grapheme', maxLength: 5 }),
      fc.option(text),
    ),
    {
      maxLength: 3,
    },
  ),
  timestampMs: fc.integer({ min: BEGIN_MS, max: BEGIN_MS + 1_000_000 }),
});

interface Draw {
  readonly producer: number;
  readonly isEnd: boolean;
  readonly isCommit: boolean;
  readonly partition: number;
  readonly records: readonly RecordToSend[];
  readonly offset: number | undefined;
}

const draw: fc.Arbitrary<Draw> = fc.record({
  producer: fc.nat(),
  isEnd: fc.boolean(),
  isCommit: fc.boolean(),
  partition: fc.nat({ max: 1 }),
  records: fc.array(recordToSend, { minLength: 1, maxLength: 5 }),
  offset: fc.option(fc.nat({ max: 50 }), { nil: undefined, freq: 4 }),
});

/**
 * Steps in a random order on a new topic of two partitions: one producer per codec, alternately
 * plain and idempotent, and two transactional ones whose transactions overlap. The same seed gives
 * the same steps. All transactions end, or with `leavesOpen` both stay open.
 */
export function randomSteps(
  topic: string,
  options: { readonly seed: number; readonly count: number; readonly leavesOpen?: boolean },
): Step[] {
  const steps: Step[] = [{ do: 'topic', topic, partitions: 2, config: MANY_SEGMENTS }];
  const names = KNOWN_CODECS.map((codec, index) => {
    const producer = `${topic}-${codec}`;
    const isIdempotent = index % 2 === 0;
    steps.push({ do: 'producer', producer, codec, isIdempotent, isTransactional: false });
    return producer;
  });
  const transactional = [`${topic}-tx-1`, `${topic}-tx-2`];
  for (const producer of transactional) {
    const kind = { codec: 'none', isIdempotent: true, isTransactional: true };
    steps.push({ do: 'producer', producer, ...kind });
  }
  const all = [...names, ...transactional, ...transactional];
  const open = new Set<string>();
  const [draws = []] = fc.sample(
    fc.array(draw, { minLength: options.count, maxLength: options.count, size: 'max' }),
    { seed: options.seed, numRuns: 1 },
  );
  for (const drawn of draws) addStep(steps, drawn, { topic, all, transactional, open });
  for (const producer of transactional) {
    if (options.leavesOpen === true) {
      const records = [{ key: null, value: 'open', headers: [], timestampMs: BEGIN_MS }];
      if (!open.has(producer)) steps.push({ do: 'begin', producer });
      steps.push({ do: 'send', producer, topic, partition: 0, records });
    } else if (open.has(producer)) {
      steps.push({ do: 'commit', producer });
    }
  }
  return steps;
}

/**
 * Batches of one producer without compression and without a producer id, on a new topic of one
 * partition: its files depend neither on the writer nor on the time.
 */
export function plainSteps(
  topic: string,
  options: { readonly seed: number; readonly count: number },
): Step[] {
  const batches = fc.array(fc.array(recordToSend, { minLength: 1, maxLength: 5 }), {
    minLength: options.count,
    maxLength: options.count,
    size: 'max',
  });
  const [drawn = []] = fc.sample(batches, { seed: options.seed, numRuns: 1 });
  const kind = { codec: 'none', isIdempotent: false, isTransactional: false };
  return [
    { do: 'topic', topic, partitions: 1, config: MANY_SEGMENTS },
    { do: 'producer', producer: topic, ...kind },
    ...drawn.map((records, index): Step => {
      const later = index * 20_000; // increases, but not in each batch
      const sent = records.map((record) => ({
        ...record,
        timestampMs: BEGIN_MS + ((record.timestampMs - BEGIN_MS) % 60_000) + later,
      }));
      return { do: 'send', producer: topic, topic, partition: 0, records: sent };
    }),
  ];
}

function addStep(
  steps: Step[],
  { producer: index, isEnd, isCommit, partition, records, offset }: Draw,
  state: {
    readonly topic: string;
    readonly all: readonly string[];
    readonly transactional: readonly string[];
    readonly open: Set<string>;
  },
): void {
  const { topic, all, transactional, open } = state;
  const producer = all[index % all.length] ?? '';
  if (open.has(producer) && isEnd) {
    open.delete(producer);
    steps.push({ do: isCommit ? 'commit' : 'abort', producer });
    return;
  }
  const isTransactional = transactional.includes(producer);
  if (isTransactional && !open.has(producer)) {
    open.add(producer);
    steps.push({ do: 'begin', producer });
  }
  steps.push({ do: 'send', producer, topic, partition, records });
  if (offset === undefined) return;
  const commit = { group: `${topic}-group`, topic, partition, offset, metadata: `at ${offset}` };
  steps.push({ do: 'offset', ...(isTransactional && { producer }), ...commit });
}
