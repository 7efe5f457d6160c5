import { expect, test } from 'vitest';
import { int64, openLog, silentLogger, string, topic, type Log } from '../core/index.ts';
import { SinkRunner, SourceRunner, type BadInput, type SourceConnector } from '../connect/index.ts';
import { StreamsApp, StreamsBuilder } from '../streams/index.ts';
import { millrace } from '../test/kit/command.ts';
import { readTopic } from '../test/kit/read-topic.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

const numbers = topic('numbers', { key: string(), value: string() });

/** Makes two dead letters, of `one` and `{"n":2}`. */
async function fail(log: Log): Promise<void> {
  await using producer = log.producer();
  const headers = [{ key: 'trace', value: Buffer.from('t1') }];
  const good = `${'\0'.repeat(7)}\x01`;
  const values = ['one', '{"n":2}', good];
  for (const [index, value] of values.entries()) {
    await producer.send(numbers, { key: `k${index}`, value, timestampMs: index, headers });
  }
  const builder = new StreamsBuilder();
  builder
    .stream(topic('numbers', { key: string(), value: int64() }), { name: 'read' })
    .foreach(() => undefined);
  await using app = new StreamsApp(log, builder.build(), {
    ...{ applicationId: 'app', onDeserializationError: 'deadLetter', logger: silentLogger },
  });
  await app.start();
  await app.finish();
}

test('[CLI-12] dlq list and show print dead letters of a log that is in use', async () => {
  await using log = await openLog(temporaryDirectory());
  await fail(log);
  const data = ['--data', log.directory];
  const list = millrace('.', 'dlq', 'list', ...data);
  expect(list).toMatchObject({ code: 0, err: '' });
  expect(list.out.split('\n')).toEqual([
    expect.stringMatching(
      /^app-dead-letters-0@0 {2}1970-01-01T00:00:00.000Z {2}of numbers-0@0 {2}at read {2}\w+: \S/,
    ),
    expect.stringMatching(/^app-dead-letters-0@1 .* of numbers-0@1 {2}at read /),
    '2 dead letters',
    '',
  ]);
  const none = millrace('.', 'dlq', 'list', 'app-dead-letters', '--node', 'other', ...data);
  expect(none.out).toBe('0 dead letters\n');
  const later = millrace('.', 'dlq', 'list', '--from', '1', '--to', '1', '--json', ...data).out;
  expect(
    later
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toMatchObject([
    {
      ...{ topic: 'app-dead-letters', partition: 0, offset: 1, node: 'read' },
      source: { topic: 'numbers', partition: 0, offset: 1 },
    },
  ]);
  const show = millrace('.', 'dlq', 'show', 'app-dead-letters-0@1', ...data);
  expect(show).toMatchObject({ code: 0, err: '' });
  expect(show.out).toMatch(
    /\nstage: deserialization, task 0_0\nkey: k1\nvalue: {"n":2}\nheader trace: t1\n\w+: .*\n +at /,
  );
  const wrong = millrace('.', 'dlq', 'show', 'app-dead-letters-0@7', ...data);
  expect(wrong).toMatchObject({
    code: 1,
    err: expect.stringContaining('no dead letter') as string,
  });
}, 60_000);

test('[CLI-12] dlq replay sends them back, once', async () => {
  const directory = temporaryDirectory();
  {
    await using log = await openLog(directory);
    await fail(log);
    const busy = millrace('.', 'dlq', 'replay', 'app-dead-letters', '--data', directory);
    expect(busy).toMatchObject({ code: 1, err: expect.stringContaining('LOG_LOCKED') as string });
  }
  const replay = (...args: string[]): string => {
    const ended = millrace('.', 'dlq', 'replay', 'app-dead-letters', '--data', directory, ...args);
    expect(ended).toMatchObject({ code: 0, err: '' });
    return ended.out.trim().split('\n').at(-1) ?? '';
  };
  expect(replay('--dry-run')).toBe('would replay 2; 0 were replayed before, 0 cannot be');
  expect(replay('--to', '0')).toBe('replayed 1; 0 were replayed before, 0 cannot be');
  expect(replay()).toBe('replayed 1; 1 were replayed before, 0 cannot be');
  expect(JSON.parse(replay('--json'))).toEqual({
    ...{ type: 'summary', replayed: 0, replayedBefore: 2, leftOut: 0 },
  });
  await using log = await openLog(directory);
  const records = await readTopic(log, numbers, 'read_committed');
  const [, , , ...sent] = records.map(({ key, value, headers, timestampMs }) => {
    return `${key} ${value} ${headers.length} @${timestampMs}`;
  });
  expect(sent).toEqual(['k0 one 1 @0', 'k1 {"n":2} 1 @1']);
}, 60_000);

/** Makes a dead letter of a source, and one of a sink. */
async function failInConnectors(log: Log): Promise<void> {
  const options = { errors: { tolerance: 'all', deadLetter: true }, logger: silentLogger } as const;
  const bad: BadInput = {
    ...{ stage: 'read', raw: Buffer.from('x,y'), place: 'numbers.csv, line 7' },
    ...{ position: { file: 'numbers.csv', line: 7 }, error: new RangeError('no number') },
  };
  const record = { topic: numbers, key: 'k', value: 'odd', timestampMs: 5 };
  const batches = [{ records: [record], bad: [bad], partition: {}, offset: {} }];
  const source: SourceConnector = {
    ...{ name: 'numbers-source', topics: [numbers], isBounded: true },
    open: async () => [{ poll: async () => batches.shift(), close: async () => undefined }],
  };
  await new SourceRunner(log, source, options).run();
  await new SinkRunner(
    log,
    {
      ...{ name: 'numbers-sink', topics: [numbers], delivery: 'at-least-once' },
      open: async ({ reject }) => ({
        committedOffsets: undefined,
        put: ([first]) => reject(first!, new RangeError('odd number')),
        commit: async () => undefined,
        close: async () => undefined,
      }),
    },
    options,
  ).finish();
}

test('[CLI-18] dlq works on the dead letters of connectors', async () => {
  const directory = temporaryDirectory();
  {
    await using log = await openLog(directory);
    await failInConnectors(log);
  }
  const data = ['--data', directory];
  const list = millrace('.', 'dlq', 'list', ...data);
  expect(list).toMatchObject({ code: 0, err: '' });
  expect(list.out.split('\n')).toEqual([
    expect.stringMatching(
      /^connect-numbers-sink-dead-letters-0@0 .* of numbers-0@0 {2}at numbers-sink {2}Range/,
    ),
    expect.stringMatching(/^connect-numbers-source-dead-letters-0@0 .* of numbers.csv, line 7 /),
    '2 dead letters',
    '',
  ]);
  const show = millrace('.', 'dlq', 'show', 'connect-numbers-source-dead-letters-0@0', ...data);
  expect(show.out).toMatch(/\nstage: TASK_POLL, task 0\nkey: .*\nvalue: x,y\n/);
  const replay = (topic: string): string => millrace('.', 'dlq', 'replay', topic, ...data).out;
  expect(replay('connect-numbers-source-dead-letters')).toMatch(
    /cannot replay: .*: it was read at numbers.csv, line 7, .*\n.*replayed 0; .* 1 cannot be\n$/s,
  );
  expect(replay('connect-numbers-sink-dead-letters')).toMatch(/replayed 1; .* 0 cannot be\n$/);
  await using log = await openLog(directory);
  const records = await readTopic(log, numbers, 'read_committed');
  expect(
    records.map(({ key, value, timestampMs, headers }) => [key, value, timestampMs, headers]),
  ).toEqual([
    ['k', 'odd', 5, []],
    ['k', 'odd', 5, []],
  ]);
}, 60_000);
