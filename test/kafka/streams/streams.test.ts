import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LEFT_OUT } from './coverage.ts';
import { Comparison, type NeededRules } from './equality.ts';
import { KafkaStreams } from './kafka.ts';
import { RULE_IDS } from './rules.ts';
import { isOnDisk } from './spec.ts';
import { allTopologies, someTopologies } from './topologies.ts';

/** The first seed, and how many: `SEED=7 SEEDS=1000 npm run test:kafka -- streams` runs others. */
const SEED = Number(process.env['SEED'] ?? 1);
const SEEDS = Number(process.env['SEEDS'] ?? 50);
/** Where Kafka's stores are on disk, one seed of so many is enough. */
const ON_DISK = 5;
/** How many chains of operators are drawn by the first seed. */
const CHAINS = Number(process.env['CHAINS'] ?? 40);
/** Whether to compare each operator behind each other one, which takes long. */
const ARE_PAIRS = process.env['PAIRS'] !== undefined;

const seeds = Array.from({ length: SEEDS }, (_, index) => SEED + index);
const needed: NeededRules = new Set();
let compared = 0;
let kafka: KafkaStreams;

beforeAll(() => {
  kafka = new KafkaStreams();
});

afterAll(() => kafka.close());

const topologies = ARE_PAIRS ? allTopologies() : someTopologies(SEED, CHAINS);

describe(`seeds ${SEED} to ${SEED + SEEDS - 1}`, () => {
  const named = topologies.map((spec) => [spec.name, spec] as const);
  // Side by side, so that no process waits for another one.
  const options = { timeout: 900_000 }; // they wait for each other
  test.concurrent.for(named)(
    '[STREAMS-KAFKA-1] equal to Kafka Streams: %s',
    options,
    async ([, spec]) => {
      const few = seeds.slice(0, Math.ceil(SEEDS / ON_DISK));
      const all = isOnDisk(spec.chain) ? few : seeds;
      const report = await new Comparison(spec, kafka).run(all, needed);
      compared++;
      expect(report ?? 'equal').toBe('equal');
    },
  );

  test('[STREAMS-KAFKA-2] each rule has cases', ({ skip }) => {
    if (compared < topologies.length || SEEDS < 10) skip('too few topologies or seeds ran');
    expect([...needed].sort()).toEqual([...RULE_IDS].sort());
  });

  test('[STREAMS-KAFKA-3] each operation is in a topology, or left out for a reason', async ({
    skip,
  }) => {
    if (compared < topologies.length) skip('only some topologies ran');
    const { all, called } = await kafka.operations();
    const missing = all.filter((operation) => !called.includes(operation));
    expect(missing).toEqual(Object.keys(LEFT_OUT).sort());
  });
});
