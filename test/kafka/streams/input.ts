import { seededRandom, type Random } from '../../../core/random.ts';
import { hasClock, topicsOf, waitsOf, type Chain, type Input } from './spec.ts';

/** The times of these records close everything that is open. */
export const CLOSING_MS = 1_000_000;
export const KEYS: readonly string[] = ['a', 'b', 'c', 'd'];

/**
 * Random records for the topics of a chain: few keys, null keys and values, times that repeat, jump
 * ahead or lie back, headers. Records far ahead in time come last. If the clock matters, it is
 * moved in between.
 */
export function randomInput(chain: Chain, seed: number): Input[] {
  const random = seededRandom(seed);
  const topics = topicsOf(chain);
  const movesClock = hasClock(chain);
  const inputs: Input[] = [];
  let timeMs = below(random, 30);
  for (let count = 25 + 8 * topics.length + below(random, 20); count > 0; count--) {
    const [step, atMs] = nextTime(random, timeMs);
    timeMs = step;
    const topic = pick(random, topics);
    const key = random.next() < 0.07 ? null : pick(random, KEYS);
    const value = random.next() < 0.12 ? null : below(random, 12);
    inputs.push([topic, key, value, atMs, headers(random)]);
    if (movesClock && random.next() < 0.2) inputs.push(['', null, null, below(random, 80), []]);
  }
  const rounds = 1 + waitsOf(chain);
  for (let round = 1; round <= rounds; round++) {
    for (const topic of topics) {
      for (const value of [0, 1, 2, 3]) {
        inputs.push([topic, value % 2 === 0 ? 'a' : 'b', value, round * CLOSING_MS, []]);
      }
    }
  }
  return inputs;
}

/** Where time stands now, and the time of the next record. */
function nextTime(random: Random, timeMs: number): [nowMs: number, atMs: number] {
  const chance = random.next();
  if (chance < 0.2) return [timeMs, timeMs];
  if (chance < 0.4) return [timeMs, Math.max(0, timeMs - below(random, 25))]; // late
  const aheadMs = chance < 0.93 ? below(random, 6) : 10 + below(random, 60);
  return [timeMs + aheadMs, timeMs + aheadMs];
}

function headers(random: Random): string[] {
  const made: string[] = [];
  while (random.next() < 0.3 && made.length < 6) made.push(`h${made.length}`, pick(random, KEYS));
  return made;
}

function below(random: Random, limit: number): number {
  return Math.floor(random.next() * limit);
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[below(random, items.length)]!;
}
