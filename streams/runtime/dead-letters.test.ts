import { describe, expect, test } from 'vitest';
import { NO_HEADERS, parseDeadLetter, type DeadLetter, type Headers } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { RecordFailure } from '../topology/record-errors.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import { deadLetterHeaders } from './dead-letters.ts';

const NOTHING = { key: null, value: null, timestampMs: 1 };

function parsed(headers: Headers): DeadLetter {
  return parseDeadLetter({ ...NOTHING, headers });
}

function header(key: string, value: string | null): Headers[number] {
  return { key, value: value === null ? null : Buffer.from(value) };
}

describe('[STREAMS-BAD-4] a dead letter that fails itself', () => {
  const trace = header('trace', 't1');
  const record = new StreamRecord('k', 5, 7, [trace], '', 0, -1);
  const details = { topic: 'numbers', partition: 0, offset: 1, field: 'key' } as const;
  const first: RecordFailure = {
    ...{ stage: 'production', node: 'out', taskId: '0_0', topic: '', partition: 0, offset: -1 },
    ...{ error: new StreamsError('DESERIALIZATION_FAILED', 'first', details), record },
    ...{ timestampMs: 7, headers: [trace], rawKey: null, rawValue: null },
  };
  const second: RecordFailure = {
    ...{ stage: 'processing', node: 'again', taskId: '1_0', topic: 'app-dead-letters' },
    ...{ partition: 0, offset: 3, error: new RangeError('second'), record: undefined },
    ...{ timestampMs: 7, headers: NO_HEADERS, rawKey: null, rawValue: null },
  };
  const once = deadLetterHeaders(first, undefined);
  const twice = deadLetterHeaders(second, { headers: once });

  test('tells the last failure alone', () => {
    expect(parsed(once)).toMatchObject({ code: 'DESERIALIZATION_FAILED', source: undefined });
    expect(parsed(twice)).toMatchObject({
      ...{ error: 'RangeError', message: 'second', node: 'again', stage: 'processing' },
      ...{ code: undefined, record: undefined, taskId: '1_0' },
      source: { topic: 'app-dead-letters', partition: 0, offset: 3 },
    });
  });

  test('[STREAMS-BAD-9] keeps what it was when the last failure is taken away', () => {
    const { headers } = parsed(twice);
    expect(headers).toEqual(once);
    expect(parsed(headers)).toEqual(parsed(once));
    expect(parsed(headers).headers).toEqual([trace]);
  });

  test('is read also without a message, without a class, and with headers behind', () => {
    const prefix = '__streams.errors.';
    const topic = header(`${prefix}topic`, 'numbers');
    const message = header(`${prefix}message`, null); // as Kafka Streams writes it
    const after = header('after', 'x');
    const kafka = [trace, header(`${prefix}exception`, 'E'), message, topic, after];
    expect(parsed([...once, ...kafka])).toMatchObject({ error: 'E', message: undefined });
    expect(parsed([...once, ...kafka]).headers).toEqual([...once, trace, after]);
    expect(parsed([trace, topic]).headers).toEqual([trace]);
  });
});
