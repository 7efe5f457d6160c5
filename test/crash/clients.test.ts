import { test } from 'vitest';
import { SEED } from '../kit/seed.ts';
import { temporaryDirectory } from '../kit/temporary-directory.ts';
import { killClients, KILLS_A_LOG } from './kill-clients.ts';

/** How often the clients are killed; `npm run soak` kills them a thousand times. */
const KILLS = Number(process.env['KILLS'] ?? 15);

test(
  `[CHECK-4] producers, transactions and groups, killed ${KILLS} times (seed ${SEED})`,
  async () => {
    for (let [seed, left] = [SEED, KILLS]; left > 0; seed++, left -= KILLS_A_LOG) {
      const kills = Math.min(left, KILLS_A_LOG);
      await killClients({ directory: temporaryDirectory(), seed, kills });
    }
  },
  KILLS * 10_000,
);
