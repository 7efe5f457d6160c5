import { systemRandom } from '../../core/random.ts';

/**
 * The seed of random tests: a new number for each run, shown in the titles; `SEED=123 npm test`
 * repeats a run.
 */
export const SEED = Number(process.env['SEED'] ?? Math.floor(systemRandom.next() * 1e9));
