import { expect, test } from 'vitest';
import { int64, openLog, silentLogger, string, topic, type Log } from '../core/index.ts';
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
