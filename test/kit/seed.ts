import { systemRandom } from '../../core/random.ts';

/**
 * What chance in tests begins with: another number at each run, which the titles show; `SEED=123
 * npm test` repeats a run.
 */
export const SEED = Number(process.env['SEED'] ?? Math.floor(systemRandom.next() * 1e9));
