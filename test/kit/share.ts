import { seededRandom } from '../../core/random.ts';
import { SEED } from './seed.ts';

/**
 * Whether tests that take a share of their cases are to take all of them, as in `npm run soak`,
 * which runs every test file that imports this one.
 */
export const TAKES_ALL = process.env['ALL_CASES'] !== undefined;

/** At most `most` of some cases, from the first ones to the last; which ones is up to the seed. */
export function shareOf<T>(all: readonly T[], most: number): readonly T[] {
  if (TAKES_ALL || all.length <= most) return all;
  const first = seededRandom(SEED).next();
  return Array.from({ length: most }, (_, index) => {
    return all[Math.floor(((index + first) * all.length) / most)]!;
  });
}
