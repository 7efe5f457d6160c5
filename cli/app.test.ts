import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog, silentLogger, string, topic, int64, type Log } from '../core/index.ts';
import { StreamsApp, StreamsBuilder } from '../streams/index.ts';
import { millrace } from '../test/kit/command.ts';
import { prepare } from '../test/kit/copy-job.ts';
import { readTopic } from '../test/kit/read-topic.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

const numbers = topic('numbers', { key: string(), value: int64() });
const sums = topic('sums', { key: string(), value: int64() });

/** Sums three numbers of `a`. */
async function run(log: Log, isOpen = false): Promise<StreamsApp> {
  const builder = new StreamsBuilder();
  builder
    .stream(numbers, { name: 'in' })
    .groupByKey()
    .reduce((sum, one) => sum + one, { store: 'kept' })
    .toStream()
    .to(sums);
  const app = new StreamsApp(log, builder.build(), {
    applicationId: 'summing',
    logger: silentLogger,
  });
  await app.start();
  if (!isOpen) await app.finish();
  return app;
}

async function fill(directory: string): Promise<void> {
  await using log = await openLog(directory, { logger: silentLogger });
  await using producer = log.producer();
  for (const value of [1, 2, 4])
    await producer.send(numbers, { key: 'a', value, timestampMs: value });
  await run(log);
}

async function results(directory: string): Promise<unknown[]> {
  await using log = await openLog(directory, { logger: silentLogger });
  await run(log);
  return (await readTopic(log, sums, 'read_committed')).map(({ value }) => value);
}

test('[CLI-15] app topology prints what ran last, and what a job changes', async () => {
  const directory = temporaryDirectory();
  await fill(directory);
  const print = (...args: readonly string[]) => {
    const { code, out, err } = millrace('.', 'app', 'topology', directory, ...args);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    return out;
  };
  expect(print()).toContain('Source: in (topics: [numbers])');
  expect(print('--app', 'summing', '--format', 'mermaid')).toMatch(/^flowchart TD\n/);
  expect(JSON.parse(print('--format', 'json'))).toMatchObject({
    topics: [{ name: 'numbers' }, {}],
  });
  const jobs = prepare();
  const job = millrace(
    '.',
    'app',
    'topology',
    directory,
    ...['--app', 'summing'],
    ...['--diff', join(jobs, 'job.ts')],
  );
  expect(job.err).toBe('');
  expect(job.code).toBe(1);
  expect(job.out).toContain(
    'orphan  store kept removed: nothing would read what is in it any more',
  );
  expect(millrace('.', 'app', 'topology', directory, '--format', 'svg').code).toBe(2);
  const none = millrace('.', 'app', 'topology', directory, '--app', 'other');
  expect(none).toMatchObject({ code: 1, err: expect.stringContaining('summing') as string });
  const empty = millrace('.', 'app', 'topology', temporaryDirectory());
  expect(empty.err).toContain('app must be the name of an application');
  writeFileSync(join(directory, 'streams', 'summing', 'last-run.json'), '{');
  const damaged = millrace('.', 'app', 'topology', directory);
  expect(damaged).toMatchObject({
    ...{ code: 1, err: expect.stringContaining('LAST_RUN_UNREADABLE') as string },
  });
}, 120_000);

test('[CLI-16] app stores lists what is on the disk, also while the application runs', async () => {
  const directory = temporaryDirectory();
  await fill(directory);
  await using log = await openLog(directory, { logger: silentLogger });
  await using app = await run(log, true);
  const stores = millrace('.', 'app', 'stores', directory);
  expect(stores).toMatchObject({ code: 0, err: '' });
  expect(stores.out).toMatch(
    new RegExp(
      '^kept {2}keyValue, key string, value int64, topic summing-kept-changelog\n' +
        ' {2}0_0: 1 entry, 4,096 bytes, checkpoint at offset \\d+, 0 behind\n$',
    ),
  );
  const json = JSON.parse(millrace('.', 'app', 'stores', directory, '--json').out) as object;
  expect(json).toMatchObject({ store: 'kept', taskId: '0_0', partition: 0, entries: 1, lag: 0 });
  expect(app.state).toBe('RUNNING');
}, 60_000);

test('[CLI-17] app reset lets an application begin anew', async () => {
  const directory = temporaryDirectory();
  await fill(directory);
  expect(await results(directory)).toEqual([7]);
  const reset = (...args: readonly string[]) => {
    const { code, out, err } = millrace('.', 'app', 'reset', directory, ...args);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    return out.trimEnd().split('\n');
  };
  expect(reset('--dry-run')).toEqual([
    'would move: numbers-0 from offset 3 to 0',
    'would delete: topic summing-kept-changelog',
    'would delete: topic summing-topology',
    `would delete: state in ${join(directory, 'streams', 'summing')}`,
    'nothing of summing was changed',
  ]);
  expect(await results(directory)).toEqual([7]);
  expect(reset('--to-offset', '1').at(-1)).toBe('summing begins anew at its next start');
  expect(await results(directory)).toEqual([7, 6]); // without the first
  const json = JSON.parse(reset('--json')[0] ?? '') as object;
  expect(json).toMatchObject({ applicationId: 'summing', dryRun: false, offsets: [{ to: 0 }] });
  expect(await results(directory)).toEqual([7, 6, 7]);
}, 120_000);

test('[CLI-17] app reset refuses while the application runs, and what makes no sense', async () => {
  const directory = temporaryDirectory();
  await fill(directory);
  {
    await using log = await openLog(directory, { logger: silentLogger });
    await using app = await run(log, true);
    const busy = millrace('.', 'app', 'reset', directory);
    expect(busy).toMatchObject({ code: 1, err: expect.stringContaining('LOG_LOCKED') as string });
    expect(app.state).toBe('RUNNING');
  }
  const failed = (...args: readonly string[]): string => {
    const { code, err } = millrace('.', 'app', 'reset', directory, ...args);
    expect(code).not.toBe(0);
    return err;
  };
  expect(failed('--to-latest', '--to-offset', '3')).toContain('one target at most');
  expect(failed('--by-duration', '1h')).toContain('a duration such as PT1H30M');
  expect(failed('--to-datetime', 'yesterday')).toContain('a time such as');
  expect(failed('--input-topics', 'nope')).toContain('UNKNOWN_TOPIC_OR_PARTITION');
  expect(failed('--app', 'nobody')).toContain('an application that has run on this log');
  expect(await results(directory)).toEqual([7]);
}, 120_000);
