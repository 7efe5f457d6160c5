import { test } from 'vitest';
import { SEED } from '../kit/seed.ts';
import { temporaryDirectory } from '../kit/temporary-directory.ts';
import { killClient } from './kill-client.ts';

/** How often each is killed; `npm run soak` kills them two hundred times. */
const KILLS = Number(process.env['KILLS'] ?? 0);

for (const [client, kills] of [
  ['eos', 3],
  ['eos-repartitioned', 3],
  ['smoke', 4],
] as const) {
  const count = KILLS === 0 ? kills : KILLS;
  test(
    `[EOS-1] [EOS-2] the application ${client}, killed ${count} times (seed ${SEED})`,
    () => killClient({ client, directory: temporaryDirectory(), seed: SEED, kills: count }),
    20_000 + count * 10_000,
  );
}
