import { expect, test } from 'vitest';
import {
  fieldsFirst,
  int64,
  jsonLogger,
  LogError,
  silentLogger,
  string,
  topic,
  type LogFields,
  type Logger,
} from '../../core/index.ts';
import { ManualClock } from '../../core/testing/index.ts';
import { makeApp, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { sums } from '../../test/kit/drive.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import type { ErrorAction } from '../topology/record-errors.ts';
import type { Topology } from '../topology/topology.ts';
import { fieldsOf } from './log-fields.ts';

const input = topic('numbers', { key: string(), value: int64(), partitions: 2 });

/** Numbers below 0 fail. */
function checking(onError: ErrorAction): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(input)
    .filter(
      ({ value }) => {
        if (value < 0) throw new RangeError('too small');
        return true;
      },
      { name: 'check', onError },
    )
    .to(sums);
  return builder.build();
}

/** A logger in the manner of pino, which keeps its lines. */
function pinoLike(): { readonly logger: Logger; readonly lines: [string, LogFields, string][] } {
  const lines: [string, LogFields, string][] = [];
  const log = (level: string) => (fields: object, message: string) => {
    lines.push([level, fields, message]);
  };
  const levels = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
  return { logger: fieldsFirst(levels), lines };
}

test('[RT-LOG-1] [RT-LOG-2] a line tells what it is about: a record skipped', async () => {
  const log = await openTestLog();
  await produce(log, input, [
    ['a', 1, 1, 1],
    ['a', -1, 2, 1],
  ]);
  const { logger, lines } = pinoLike();
  await runToEnd(log, checking('skip'), { logger });
  expect(lines).toEqual([
    [
      'warn',
      {
        ...{ applicationId: 'app', taskId: '0_1', node: 'check', code: 'PROCESSING_FAILED' },
        ...{ topic: 'numbers', partition: 1, offset: 1 },
      },
      'a record was skipped: check failed on numbers-1 at offset 1: too small',
    ],
  ]);
});

test('[RT-LOG-1] of a record that is tried again', async () => {
  const log = await openTestLog();
  await log.admin().ensureTopic(input);
  const { logger, lines } = pinoLike();
  const app = makeApp(log, checking({ retry: 1, backoffMs: 1 }), { logger });
  await app.start();
  const failed = expect(app.done).rejects.toMatchObject({ code: 'PROCESSING_FAILED' });
  await produce(log, input, [['a', -1, 2, 0]]);
  await failed;
  const fields = { applicationId: 'app', node: 'check', code: 'STARTING_OVER' };
  expect(lines).toEqual([['warn', fields, expect.stringContaining('it is tried again in 1 ms')]]);
});

test('[RT-LOG-1] a logger without fields gets the text alone', async () => {
  const log = await openTestLog();
  await produce(log, input, [['a', -1, 2, 0]]);
  const lines: unknown[][] = [];
  const logger: Logger = { ...silentLogger, warn: (message: string) => void lines.push([message]) };
  await runToEnd(log, checking('skip'), { logger });
  expect(lines).toEqual([
    ['a record was skipped: check failed on numbers-0 at offset 0: too small'],
  ]);
});

test('[RT-LOG-1] the fields of an error are its code and its place; of no error, none', () => {
  const place = { node: 'n', topic: 't', partition: 3, offset: 4 };
  expect(fieldsOf(new StreamsError('PROCESSING_FAILED', 'x', place))).toEqual({
    ...{ code: 'PROCESSING_FAILED', ...place },
  });
  const nowhere = { node: 'n', topic: '', partition: 0, offset: -1 };
  expect(fieldsOf(new StreamsError('PROCESSING_FAILED', 'x', nowhere))).toEqual({
    ...{ code: 'PROCESSING_FAILED', node: 'n' },
  });
  const unknown = new LogError('UNKNOWN_TOPIC_OR_PARTITION', 'x', { topic: 't' });
  expect(fieldsOf(unknown)).toEqual({ code: 'UNKNOWN_TOPIC_OR_PARTITION', topic: 't' });
  expect(fieldsOf(new TypeError('x'))).toEqual({});
  expect(fieldsOf(undefined)).toEqual({});
});

test('[RT-LOG-2] jsonLogger writes a line of JSON each, those of debug left out', () => {
  const lines: string[] = [];
  const clock = new ManualClock(Date.UTC(2026, 10, 30));
  const logger = jsonLogger((line) => lines.push(line), clock);
  logger.debug('a');
  logger.info('b');
  logger.warn('two\nlines', { node: 'n', partition: 0 });
  logger.error('d');
  const time = '2026-11-30T00:00:00.000Z';
  expect(lines.every((line) => !line.includes('\n'))).toBe(true);
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { time, level: 'info', message: 'b' },
    { time, level: 'warn', message: 'two\nlines', node: 'n', partition: 0 },
    { time, level: 'error', message: 'd' },
  ]);
});
