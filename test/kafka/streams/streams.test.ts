import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Comparison, type RuleCounts } from './equality.ts';
import { KafkaStreams } from './kafka.ts';
import { RULE_IDS } from './rules.ts';
import { allTopologies, someTopologies } from './topologies.ts';

/** The first seed, and how many: `SEED=7 SEEDS=1000 npm run test:kafka -- streams` runs others. */
const SEED = Number(process.env['SEED'] ?? 1);
const SEEDS = Number(process.env['SEEDS'] ?? 10);
/** Whether to compare each operator behind each other one, which takes an hour or more. */
const ARE_PAIRS = process.env['PAIRS'] !== undefined;

const seeds = Array.from({ length: SEEDS }, (_, index) => SEED + index);
const counts: RuleCounts = new Map();
let compared = 0;
let kafka: KafkaStreams;

beforeAll(() => {
  kafka = new KafkaStreams();
});

afterAll(() => kafka.close());

const topologies = ARE_PAIRS ? allTopologies() : someTopologies();

describe(`seeds ${SEED} to ${SEED + SEEDS - 1}`, () => {
  const named = topologies.map((spec) => [spec.name, spec] as const);
  test.for(named)('[STREAMS-KAFKA-1] equal to Kafka Streams: %s', async ([, spec]) => {
    const report = await new Comparison(spec, kafka).run(seeds, counts);
    compared++;
    expect(report ?? 'equal').toBe('equal');
  });

  test('[STREAMS-KAFKA-2] each rule has cases', ({ skip }) => {
    if (!ARE_PAIRS || compared < topologies.length) skip('only some topologies ran');
    expect([...counts.keys()].sort()).toEqual([...RULE_IDS].sort());
  });
});
