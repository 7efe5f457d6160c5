import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const letters = topic('letters', { key: string(), value: string(), partitions: 1 });

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const POLLS = 20_000;
/** Far more than what varies from run to run; a reaction on a promise alone takes 100 bytes. */
const GROWTH_BYTES_MAX = POLLS * 50;

/** How much more is held after many polls than after some. */
async function growthBytes(poll: () => Promise<unknown>): Promise<number> {
  const pollTimes = async (count: number): Promise<number> => {
    for (let index = 0; index < count; index++) await poll();
    // What weak references held on to goes in a later turn of the event loop.
    for (let turn = 0; turn < 3; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      collectGarbage();
    }
    return process.memoryUsage().heapUsed;
  };
  const beforeBytes = await pollTimes(2_000);
  return (await pollTimes(POLLS)) - beforeBytes;
}

const open = () => openLog('/data', { fileSystem: new MemoryFileSystem(), logger: silentLogger });

test('[CONSUMER-18] a consumer that waits for records holds no more with each wait', async () => {
  await using log = await open();
  await using consumer = log.consumer().subscribe([letters]);
  await consumer.poll({ maxWaitMs: 0 });
  expect(await growthBytes(() => consumer.poll({ maxWaitMs: 0 }))).toBeLessThan(GROWTH_BYTES_MAX);
}, 60_000);

test('[CONSUMER-18] nor does a member whose polls have a signal that never aborts', async () => {
  await using log = await open();
  const { signal } = new AbortController();
  await using consumer = log.consumer({ groupId: 'g', signal }).subscribe([letters]);
  await consumer.poll({ maxWaitMs: 100 });
  expect(await growthBytes(() => consumer.poll({ maxWaitMs: 0, signal }))).toBeLessThan(
    GROWTH_BYTES_MAX,
  );
}, 60_000);

test('[CONSUMER-18] nor does a member that waits for its seat', async () => {
  await using log = await open();
  const { signal } = new AbortController();
  await using leader = log.consumer({ groupId: 'g' }).subscribe([letters]);
  await leader.poll({ maxWaitMs: 100 });
  await using waiting = log.consumer({ groupId: 'g' }).subscribe([letters]); // until leader polls
  expect(await growthBytes(() => waiting.poll({ maxWaitMs: 0, signal }))).toBeLessThan(
    GROWTH_BYTES_MAX,
  );
}, 60_000);
