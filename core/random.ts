/** The source of randomness. A parameter everywhere, so that a seed repeats a run. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
}

/** The randomness of the platform; no seed repeats it. */
export const systemRandom: Random = { next: () => Math.random() };

/**
 * The same numbers for the same `seed` (any integer). Marsaglia's xorshift in its 32-bit form
 * ("Xorshift RNGs", 2003): enough for tests and jitter, not for secrets.
 */
export function seededRandom(seed: number): Random {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x85ebca6b) | 0 || 1;
  return {
    next() {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) / 0x1_0000_0000;
    },
  };
}
