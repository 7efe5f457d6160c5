import { expect, test } from 'vitest';
import { checkEach } from '../../test/kit/check-each.ts';
import { simulateJournal } from './journal-simulation.suite.ts';

const FIRST_SEED = Number(process.env['SIM_SEED'] ?? 1);
const SEEDS = Number(process.env['SIM_JOURNALS'] ?? 15);

test(
  `[LOG-20] [LOG-25] partitions that share a journal, seeds ${FIRST_SEED} to ` +
    String(FIRST_SEED + SEEDS - 1),
  async () => {
    await checkEach(Array(SEEDS).keys(), async (index) => {
      const seed = FIRST_SEED + index;
      const crashes = await simulateJournal(seed).catch((cause: unknown) => {
        throw new Error(`seed ${seed}: ${String(cause)}`, { cause });
      });
      expect(crashes).toBeGreaterThan(0);
    });
  },
  SEEDS * 10_000,
);
