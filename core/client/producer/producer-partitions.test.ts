import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { tap } from '../../../test/kit/tap.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { silentLogger } from '../../logger.ts';
import { seededRandom } from '../../random.ts';
import { string } from '../../serde/text.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { Producer } from './producer.ts';
import type { ProducerOptions } from './producer-options.ts';
import { topic } from '../topic.ts';

const spread = topic('spread', { key: string(), value: string(), partitions: 4 });

const open = () => openLog(temporaryDirectory(), { logger: silentLogger });

/** A producer whose choices repeat, and the partitions that `count` records went to. */
async function partitionsOf(
  log: Log,
  options: ProducerOptions,
  {
    keys = [null],
    count = 200,
    seed = 7,
  }: { keys?: readonly (string | null)[]; count?: number; seed?: number },
): Promise<number[]> {
  await using producer = new Producer(log.api, options, { random: seededRandom(seed) });
  const writer = await producer.writer(spread);
  return Array.from({ length: count }, (_, index) => {
    const batch = writer.write(keys[index % keys.length] ?? null, 'x'.repeat(40));
    return batch.queue.partition;
  });
}

/** How many times in a row each partition was chosen. */
function runsOf(partitions: readonly number[]): number[] {
  const runs: number[] = [];
  for (const [index, partition] of partitions.entries()) {
    if (partition === partitions[index - 1]) runs[runs.length - 1]!++;
    else runs.push(1);
  }
  return runs;
}

describe('partitioners', () => {
  test('[PRODUCER-8] round_robin takes each partition in turn, whatever the key', async () => {
    await using log = await open();
    const options = { partitioner: 'round_robin' } as const;
    const chosen = await partitionsOf(log, options, { keys: ['a', null], count: 12 });
    const first = chosen[0]!;
    expect(chosen).toEqual(chosen.map((_, index) => (first + index) % 4));
  });

  test('[PRODUCER-8] uniform_sticky stays for a batch, whatever the key', async () => {
    await using log = await open();
    const options = { partitioner: 'uniform_sticky', batchSize: 512 } as const;
    const keyed = await partitionsOf(log, options, { keys: ['a', 'b', null] });
    const runs = runsOf(keyed).slice(0, -1);
    expect(new Set(runs)).toEqual(new Set([9])); // of 46 to 48 bytes, beside 61 of the header
    expect(new Set(keyed).size).toBe(4);
  });

  test('[PRODUCER-8] a full batch ends the turn, and the next record begins another', async () => {
    await using log = await open();
    const sizes: number[] = [];
    const api = tap(log.api, {
      produce: (request) => {
        sizes.push(...request.batches.map(({ records }) => records.length));
        return log.api.produce(request);
      },
    });
    await using producer = new Producer(api, { batchSize: 512 });
    const writer = await producer.writer(spread);
    for (let count = 0; count < 300; count++) writer.write(null, 'x'.repeat(40), 0);
    await producer.flush();
    // No batch of a single record is left behind where a turn ended.
    expect(Math.min(...sizes.toSorted((a, b) => a - b).slice(1))).toBeGreaterThan(450);
  });

  test('[PRODUCER-8] who awaits each record gets to every partition too', async () => {
    await using log = await open();
    const options = { batchSize: 512 };
    await using producer = new Producer(log.api, options, { random: seededRandom(3) });
    const chosen: number[] = [];
    for (let count = 0; count < 150; count++) {
      chosen.push((await producer.send(spread, { value: 'x'.repeat(40) })).partition);
    }
    expect(new Set(chosen).size).toBe(4);
    const runs = runsOf(chosen).slice(0, -1);
    expect(Math.min(...runs)).toBeGreaterThanOrEqual(10); // 512 bytes, of 46 to 48 a record
    expect(Math.max(...runs)).toBeLessThanOrEqual(12);
  });

  test('[PRODUCER-8] over many turns every partition gets about as much', async () => {
    await using log = await open();
    const seeds = fc.nat();
    await fc.assert(
      fc.asyncProperty(seeds, fc.boolean(), async (seed, isMixed) => {
        const keys = isMixed ? [null, 'one key', null] : [null];
        const count = 8000;
        const options = { batchSize: 256 };
        const chosen = await partitionsOf(log, options, { seed, keys, count });
        const keyless = chosen.filter((_, index) => keys[index % keys.length] === null);
        for (const partition of [0, 1, 2, 3]) {
          const share = keyless.filter((each) => each === partition).length / keyless.length;
          expect(share).toBeGreaterThan(0.18);
          expect(share).toBeLessThan(0.32);
        }
      }),
      { numRuns: 10 },
    );
  });

  test.each([-1, 4, 0.5, Number.NaN, '1', undefined])(
    '[PRODUCER-8] %j is no answer of a partitioner',
    async (answer) => {
      await using log = await open();
      await using producer = log.producer({ partitioner: () => answer as number });
      expect(await codeOf(producer.send(spread, { value: 'v' }))).toBe('INVALID_PARTITIONS');
    },
  );
});
