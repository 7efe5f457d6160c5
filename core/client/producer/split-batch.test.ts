import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { readTopic, readValues } from '../../../test/kit/read-topic.ts';
import { tap } from '../../../test/kit/tap.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import type { ProduceRequest } from '../../protocol/broker-api.ts';
import { silentLogger } from '../../logger.ts';
import { CODECS, checkBatch, readBatchHeader } from '../../record/batch.ts';
import { BatchWriter } from '../../record/batch-writer.ts';
import { RecordCursor } from '../../record/record-cursor.ts';
import { bytes } from '../../serde/binary.ts';
import { string } from '../../serde/text.ts';
import { openLog } from '../open-log.ts';
import { Producer } from './producer.ts';
import { splitBatch } from './split-batch.ts';
import { topic } from '../topic.ts';

const place = { topic: 'narrow', partition: 0 };
const narrow = topic('narrow', {
  key: string(),
  value: string(),
  partitions: 1,
  config: { maxMessageBytes: 450 },
});

const open = () => openLog(temporaryDirectory(), { logger: silentLogger });
const numbers = (count: number) => Array.from({ length: count }, (_, index) => String(index));

/** What the records of a batch hold. */
function contentOf(batch: Buffer): unknown[] {
  const cursor = new RecordCursor(place);
  cursor.open(batch, 0);
  const content: unknown[] = [];
  while (cursor.next()) {
    const { source, keyStart, keyEnd, valueStart, valueEnd, timestampMs, headers } = cursor;
    const text = (start: number, end: number) =>
      start < 0 ? null : source.toString('hex', start, end);
    const named = headers.map(({ key, value }) => [key, value && Buffer.from(value)]);
    content.push([timestampMs, text(keyStart, keyEnd), text(valueStart, valueEnd), named]);
  }
  return content;
}

test('[PRODUCER-17] two halves hold what the batch held, in its order and sequence', () => {
  const some = fc.option(fc.uint8Array({ maxLength: 200 }).map((each) => Buffer.from(each)));
  const record = fc.record({
    timestampMs: fc.nat({ max: 2 ** 42 }),
    key: some,
    value: some,
    headers: fc.array(fc.record({ key: fc.string({ unit: 'binary' }), value: some }), {
      maxLength: 2,
    }),
  });
  const records = fc.array(record, { minLength: 2, maxLength: 20 });
  const baseSequence = fc.oneof(fc.constant(-1), fc.nat(100), fc.constant(0x7fff_fffd));
  const codec = fc.constantFrom(...CODECS);
  fc.assert(
    fc.property(
      records,
      baseSequence,
      codec,
      fc.boolean(),
      (all, sequence, used, isTransactional) => {
        const writer = new BatchWriter(64 * 1024);
        for (const { timestampMs, key, value, headers } of all) {
          writer.append(timestampMs, key, 0, key?.length ?? 0, bytes(), value, headers);
        }
        const producer = { producerId: 3, producerEpoch: 2, baseSequence: sequence };
        const batch = writer.close({
          codec: used,
          isTransactional,
          ...(sequence >= 0 && producer),
        });
        const halves = splitBatch(batch, { from: place, level: undefined });
        for (const half of halves) expect(checkBatch(half, 0, half.length)).toBeUndefined();
        expect(halves.flatMap(contentOf)).toEqual(contentOf(batch));
        const [whole, first, second] = [batch, ...halves].map((each) => readBatchHeader(each, 0));
        const { producerId, producerEpoch } = whole!;
        for (const half of [first, second]) {
          expect(half).toMatchObject({ producerId, producerEpoch, codec: used, isTransactional });
        }
        expect(first!.recordCount).toBe(Math.ceil(all.length / 2));
        expect(first!.baseSequence).toBe(whole!.baseSequence);
        expect(second!.lastSequence).toBe(whole!.lastSequence);
      },
    ),
  );
});

describe('batches that are too large for their topic', () => {
  test.each(['none', 'gzip'] as const)(
    '[PRODUCER-17] are split until they fit: each record arrives once, in order (%s)',
    async (compressionType) => {
      await using log = await open();
      await using producer = log.producer({ compressionType, batchSize: 8192 });
      // Hexadecimal noise, so that compression does not make it fit.
      const values = numbers(200).map((value) =>
        [1, 2, 3, 4]
          .map((salt) => murmur(value, salt))
          .join('')
          .concat(` ${value}`),
      );
      const sent = await Promise.all(values.map((value) => producer.send(narrow, { value })));
      expect(sent.map(({ offset }) => String(offset))).toEqual(numbers(200));
      expect(await readValues(log, narrow)).toEqual(values);
      expect(producer.metrics().batchSplitTotal).toBeGreaterThan(10);
      expect(producer.metrics()).toMatchObject({ recordSendTotal: 200, bufferUsedBytes: 0 });
    },
  );

  test('[PRODUCER-17] batches behind them are sent again, however late their answer', async () => {
    await using log = await open();
    const requests: (() => void)[] = [];
    const api = tap(log.api, {
      produce: async (request: ProduceRequest) => {
        const answer = await log.api.produce(request);
        // The answers to the second and the third one wait.
        const isHeld = requests.length === 1 || requests.length === 2;
        await new Promise<void>((resolve) => {
          requests.push(resolve);
          if (!isHeld) resolve();
        });
        return answer;
      },
    });
    const until = async (isSo: () => boolean) => {
      while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
    };
    await using producer = new Producer(api, { batchSize: 600 });
    const values = numbers(7).map((value) => value.padEnd(Number(value) < 5 ? 100 : 300, '.'));
    await producer.send(narrow, { value: values[0]! });
    const tooLarge = values.slice(1, 5).map((value) => producer.send(narrow, { value }));
    await until(() => requests.length === 2);
    // The first of two that do not fit into one batch goes at once, behind the one under way.
    const behind = values.slice(5).map((value) => producer.send(narrow, { value }));
    await until(() => requests.length === 3);
    requests[1]!();
    await Promise.all(tooLarge);
    requests[2]!();
    await Promise.all(behind);
    expect(await readValues(log, narrow)).toEqual(values);
  });

  test('[PRODUCER-17] sendAll fails if any part of a batch does', async () => {
    await using log = await open();
    const records = numbers(20).map((key) => ({
      key,
      value: key === '15' ? 'x'.repeat(500) : key,
    }));
    await using producer = log.producer();
    expect(await codeOf(producer.sendAll(narrow, records))).toBe('MESSAGE_TOO_LARGE');
  });

  test('[PRODUCER-17] a record that is too large alone fails alone', async () => {
    await using log = await open();
    await using producer = log.producer({ transactionalId: 't' });
    const values = numbers(9).map((value) => value.padEnd(value === '4' ? 600 : 60, '.'));
    const codes = values.map((value) => codeOf(producer.send(narrow, { value })));
    const expected = values.map((_, index) => (index === 4 ? 'MESSAGE_TOO_LARGE' : 'resolved'));
    expect(await Promise.all(codes)).toEqual(expected);
    expect(await readValues(log, narrow)).toEqual(values.filter((_, index) => index !== 4));
    await producer.transaction((tx) => tx.sendAll(narrow, numbers(12).map(valueOf)));
    expect(await readTopic(log, narrow)).toHaveLength(8 + 12);
    const refused = producer.transaction((tx) => tx.sendAll(narrow, values.map(valueOf)));
    expect(await codeOf(refused)).toBe('MESSAGE_TOO_LARGE');
    expect(await readValues(log, narrow, 'read_committed')).toHaveLength(8 + 12);
    expect(producer.metrics().bufferUsedBytes).toBe(0);
  });
});

const valueOf = (value: string) => ({ value: value.padEnd(100, '.') });

function murmur(text: string, salt: number): string {
  let hash = salt * 0x9e37_79b1;
  for (const letter of text) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x5bd1_e995);
  return Math.abs(hash ^ (hash >>> 15))
    .toString(16)
    .padStart(8, '0');
}
