import { expect, test } from 'vitest';
import { bytes, string, topic, type EmbeddedLog } from '../../core/index.ts';
import { ManualClock } from '../../core/testing/index.ts';
import { makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';

const input = topic('input', { key: string(), value: bytes() });
const output = topic('output', { key: string(), value: bytes() });
const REPARTITION = 'app-moved-repartition';

/** An application behind a repartition topic, on a clock that stands still. */
async function moving() {
  const clock = new ManualClock();
  const log = await openTestLog();
  const builder = new StreamsBuilder();
  builder
    .stream(input, { nullKeys: 'fail' })
    .repartition({ name: 'moved', key: string(), value: bytes() })
    .to(output);
  const intervals = { commitIntervalMs: 1, checkpointIntervalMs: 0 };
  const app = makeApp(log, builder.build(), {
    ...{ ...intervals, clock, stateDir: temporaryDirectory() },
  });
  await app.start();
  /** Sends records, and waits until their results, and what they leave, are committed. */
  const send = async (count: number, sizeBytes: number): Promise<void> => {
    const before = app.metrics().processedRecords;
    const value = Buffer.alloc(sizeBytes, 7);
    await produce(
      log,
      input,
      Array.from({ length: count }, () => ['a', value, 0] as const),
    );
    await until(() => {
      const { processedRecords, tasks } = app.metrics();
      const inputs = tasks.flatMap((task) => task.inputs);
      const areCommitted = inputs.every(({ position, committedOffset }) => {
        return position === committedOffset;
      });
      return processedRecords >= before + 2 * count && areCommitted;
    });
  };
  return { clock, log, send };
}

async function offsetsOf(log: EmbeddedLog): Promise<{ earliest: number; latest: number }> {
  const [offsets] = await log.admin().offsets(REPARTITION);
  return offsets!;
}

test('[RT-PURGE-1] what is committed of a repartition topic is deleted, now and then', async () => {
  const { clock, log, send } = await moving();
  await send(10, 10);
  await until(async () => (await offsetsOf(log)).earliest > 0);
  const { earliest } = await offsetsOf(log);
  for (let index = 0; index < 5; index++) {
    clock.advance(5_000);
    await send(10, 10);
  }
  expect((await offsetsOf(log)).earliest).toBe(earliest);
  clock.advance(10_000);
  await send(1, 10);
  await until(async () => (await offsetsOf(log)).earliest >= earliest + 50);
});

test('[RT-PURGE-1] much of it is deleted at once, and leaves the disk', async () => {
  const { log, send } = await moving();
  await send(1, 10);
  const [{ config } = { config: {} as Record<string, string> }] = await log
    .admin()
    .describeTopics([REPARTITION]);
  expect(Number(config['segment.bytes'])).toBe(16 << 20);
  const before = (await offsetsOf(log)).earliest;
  for (let index = 0; index < 5; index++) await send(9, 1_000_000);
  await until(async () => (await offsetsOf(log)).earliest >= before + 36);
});
