import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  bytes,
  json,
  LogError,
  openLog,
  silentLogger,
  string,
  topic,
  type Log,
  type Serde,
} from '../../../core/index.ts';
import { failureOf } from '../../../test/kit/connect.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { ConnectError } from '../../errors.ts';
import { SinkRunner, type SinkRunnerOptions } from '../../runtime/sink-runner.ts';
import { jsonl } from '../jsonl.ts';
import { lines } from '../lines.ts';
import { fileSink, type FileSinkOptions } from './file-sink.ts';

/** One topic, as several serdes see it. */
const topicOf = <V>(value: Serde<V>) => topic('values', { key: string(), value, partitions: 1 });
const raw = topicOf(bytes());
const values = topicOf(json<unknown>());

async function logOf(texts: readonly (string | Buffer)[]): Promise<Log> {
  const log = await openLog(temporaryDirectory(), { logger: silentLogger });
  await using producer = log.producer();
  await producer.sendAll(
    raw,
    texts.map((text) => ({ key: 'k', value: Buffer.from(text) })),
  );
  return log;
}

/** The lines of the output. */
async function linesOf<Row, V>(
  texts: readonly (string | Buffer)[],
  options: Omit<FileSinkOptions<Row, string, V>, 'path'>,
  run?: SinkRunnerOptions,
  directory = '',
): Promise<string[]> {
  await using log = await logOf(texts);
  const path = temporaryDirectory();
  await new SinkRunner(log, fileSink({ ...options, path } as never), run).finish();
  const extension = options.format.extension ?? options.format.name;
  const text = readFileSync(join(path, directory, `part-0-00000.${extension}`), 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text.slice(0, -1).split('\n');
}

/** JSON that parsing and printing would change. */
const ODD = [
  '{"n":1.50, "x":1e3}',
  '"\\u00e9"',
  '{"a":1,"a":2}',
  ' 7 ',
  '"ü🚀"',
  '{"n":18446744073709551615}',
];

test('[CONNECT-FILES-16] JSON that is one line is written as it stands in the log', async () => {
  expect(await linesOf(ODD, { topic: values, format: jsonl() })).toEqual(ODD);
  const deep = '['.repeat(300) + ']'.repeat(300);
  expect(await linesOf([deep, 'null'], { topic: values, format: jsonl() })).toEqual([deep, 'null']);
});

test('[CONNECT-FILES-16] JSON with line ends between its parts is printed anew', async () => {
  const texts = ['{\n "a": 1.0\n}', '[1,\r2]', '\n3\n', '4\r'];
  expect(await linesOf(texts, { topic: values, format: jsonl() })).toEqual([
    ...['{"a":1}', '[1,2]', '3', '4'],
  ]);
});

test('[CONNECT-FILES-16] what a function or a transform makes is written instead', async () => {
  const printed = ['{"n":1.5,"x":1000}', '"é"', '{"a":2}', '7', '"ü🚀"', ODD[5]!];
  const format = jsonl();
  expect(await linesOf(ODD, { topic: values, format, value: ({ value }) => value })).toEqual(
    printed,
  );
  const byField = { topic: values, format, layout: '{field:a}' };
  expect(await linesOf(['{"a":1.0}'], byField, {}, '1')).toEqual(['{"a":1}']);
  const byKey = { topic: values, format, layout: '{key}' };
  expect(await linesOf(['{"a":1.0}'], byKey, {}, 'k')).toEqual(['{"a":1.0}']);
  const transforms = [(record: object) => ({ ...record, value: { changed: true } }) as never];
  expect(await linesOf(ODD.slice(0, 2), { topic: values, format }, { transforms })).toEqual([
    ...['{"changed":true}', '{"changed":true}'],
  ]);
  // Other ways to read numbers are kept to.
  const rounded = topicOf(json<unknown>({ numbers: 'double' }));
  expect(await linesOf([ODD[5]!], { topic: rounded, format })).toEqual([
    '{"n":18446744073709552000}',
  ]);
});

test('[CONNECT-FILES-16] what is no JSON is refused as before, with its offset', async () => {
  for (const bad of ['nonsense', '{"a":01}', '{"a":1', '"\u0001"', '']) {
    await using log = await logOf(['1', bad]);
    const sink = fileSink({ topic: values, path: temporaryDirectory(), format: jsonl() });
    const error = await failureOf(new SinkRunner(log, sink).finish());
    expect(ConnectError.is(error, 'ROW_UNWRITABLE')).toBe(true);
    const { cause, details } = error as ConnectError<'ROW_UNWRITABLE'>;
    expect([bad, details.offset, LogError.is(cause, 'DESERIALIZATION_FAILED')]).toEqual([
      ...[bad, 1, true],
    ]);
  }
});

test('[CONNECT-FILES-16] lines of text are written as they stand in the log', async () => {
  const texts = ['', 'a\rb', 'ü🚀', ' x '];
  const format = lines();
  expect(await linesOf(texts, { topic: topicOf(string()), format })).toEqual(texts);
  expect(await linesOf(texts, { topic: raw, format })).toEqual(texts);
  // As `string()` reads them; bytes() has nothing to put in their place.
  const damaged = Buffer.from([0x61, 0xff]);
  expect(await linesOf([damaged], { topic: topicOf(string()), format: lines() })).toEqual([
    'a\ufffd',
  ]);
  for (const bad of ['a\nb', 'a\r']) {
    const refused = await failureOf(linesOf([bad], { topic: topicOf(string()), format: lines() }));
    expect(ConnectError.is(refused, 'ROW_UNWRITABLE')).toBe(true);
  }
});
