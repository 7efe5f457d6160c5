import { expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic, type Log } from '../../core/index.ts';
import { connectFailure, failureOf } from '../../test/kit/connect.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { BadInput, SinkConnector, SourceBatch, SourceConnector } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { SinkRunner } from './sink-runner.ts';
import { SourceRunner } from './source-runner.ts';

const numbers = topic('numbers', { key: string(), value: json<number>() });

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

function badLine(line: number): BadInput {
  const position = { file: 'numbers.txt', line, byte: line * 10 };
  const details = { file: 'numbers.txt', line, positionBytes: line * 10, reason: 'no number' };
  return {
    ...{
      stage: 'read',
      raw: Buffer.from(`x${line}`),
      place: `numbers.txt, line ${line}`,
      position,
    },
    error: new ConnectError('INVALID_JSON', `numbers.txt, line ${line}: no number`, details),
  };
}

/** Reads these batches, once. */
function source(batches: readonly Pick<SourceBatch, 'records' | 'bad'>[]): SourceConnector {
  return {
    name: 'numbers',
    topics: [numbers],
    isBounded: true,
    open: async ({ offset }) => {
      let next = Number(offset({})?.['next'] ?? 0);
      const poll = async (): Promise<SourceBatch | undefined> => {
        const batch = batches[next];
        if (batch === undefined) return undefined;
        next++;
        return { ...batch, partition: {}, offset: { next } };
      };
      return [{ poll, close: async () => undefined }];
    },
  };
}

const records = (...values: number[]) =>
  values.map((value) => ({ topic: numbers, key: 'k', value }));

test('[CONNECT-ERRORS-1] a bad piece of the input ends the run with its error', async () => {
  await using log = await temporaryLog();
  const batches = [{ records: records(1) }, { records: records(2, 4), bad: [badLine(3)] }];
  const failed = new SourceRunner(log, source(batches), { commitRecordsMax: 1 }).run();
  expect(await connectFailure(failed)).toMatchObject({
    code: 'INVALID_JSON',
    details: { file: 'numbers.txt', line: 3 },
  });
  expect(await readValues(log, numbers, 'read_committed')).toEqual([1]);
});

test('[CONNECT-ERRORS-1] a rejected record ends the run with the error given', async () => {
  await using log = await temporaryLog();
  await log.producer().send(numbers, { key: 'k', value: 1 });
  const reason = new ConnectError('INVALID_STATE', 'no', { operation: 'put', state: 'odd' });
  const sink: SinkConnector = {
    ...{ name: 'sink', topics: [numbers], delivery: 'at-least-once' },
    open: async ({ reject }) => ({
      committedOffsets: undefined,
      put: ([record]) => reject(record!, reason),
      commit: async () => undefined,
      close: async () => undefined,
    }),
  };
  expect(await failureOf(new SinkRunner(log, sink).finish())).toBe(reason);
});
