import { expect, test } from 'vitest';
import { simulate } from './run.ts';

const FIRST_SEED = Number(process.env['SIM_SEED'] ?? 1);
/** How many seeds. */
const RUNS = Number(process.env['SIM_RUNS'] ?? 2);
/** Successive processes on one log. */
const LIVES = Number(process.env['SIM_LIVES'] ?? 10);

const seeds = Array.from({ length: RUNS }, (_, index) => FIRST_SEED + index);

test.each(seeds)(
  '[SIM-1] clients of all kinds, through crashes and failures of the disk (seed %i)',
  async (seed) => {
    const { anomalies } = await simulate(seed, LIVES);
    expect(anomalies).toEqual([]);
  },
  120_000,
);
