import { expect, test } from 'vitest';
import { codeOf } from '../../test/kit/codes.ts';
import { throughPort } from '../../test/kit/port.ts';
import { readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { silentLogger } from '../logger.ts';
import { REQUEST_NAMES } from '../protocol/dispatch.ts';
import { string } from '../serde/text.ts';
import { Log } from './log.ts';
import { EmbeddedLog, openLog } from './open-log.ts';
import { topic } from './topic.ts';

const letters = topic('letters', { key: string(), value: string() });

test('[BROKER-1] a log on a broker behind a port is a log', async () => {
  await using embedded = await openLog(temporaryDirectory(), { logger: silentLogger });
  let isClosed = false;
  const close = async (): Promise<void> => void (isClosed = true);
  const log = new Log(throughPort(embedded.api), { logger: silentLogger, close });
  expect(log).not.toBeInstanceOf(EmbeddedLog);
  await using producer = log.producer({ transactionalId: 'p' });
  await producer.transaction(async (transaction) => {
    transaction.send(letters, { value: 'a' });
  });
  expect(await readValues(log, letters)).toEqual(['a']);
  expect(await readValues(embedded, letters)).toEqual(['a']);
  const request = { transactionalId: 'p', transactionTimeoutMs: -1 };
  expect(await codeOf(log.api.initProducerId(request))).toBe('INVALID_TRANSACTION_TIMEOUT');
  await producer.close();
  await log.close();
  expect(isClosed).toBe(true);
});

test('[BROKER-1] a broker has a method for each request, and no other', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  expect(Object.keys(log.api).sort()).toEqual([...REQUEST_NAMES].sort());
  expect(() => new Log(log.api, { closed: true } as never)).toThrow('did you mean close?');
});
