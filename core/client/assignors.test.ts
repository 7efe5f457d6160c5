import { expect, test } from 'vitest';
import type { TopicPartition } from '../broker/broker-api.ts';
import { rangeAssignor } from './assignors.ts';
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../broker/consumer-protocol.ts';

const short = (partitions: readonly TopicPartition[] = []) =>
  partitions.map(({ topic, partition }) => `${topic}${partition}`).join(' ');

// The cases of Kafka's RangeAssignorTest.
test.each([
  [{ C1: 't' }, { t: 0 }, { C1: '' }],
  [{ C1: 't' }, { t: 3 }, { C1: 't0 t1 t2' }],
  [{ C1: 't u' }, { t: 1, u: 2 }, { C1: 't0 u0 u1' }],
  [{ C1: 't', C2: 't' }, { t: 1 }, { C1: 't0', C2: '' }],
  [{ C1: 't', C2: 't' }, { t: 2 }, { C1: 't0', C2: 't1' }],
  [{ C2: 't', C1: 't' }, { t: 3 }, { C1: 't0 t1', C2: 't2' }],
  [
    { C1: 't', C2: 't u', C3: 't' },
    { t: 3, u: 2 },
    { C1: 't0', C2: 't1 u0 u1', C3: 't2' },
  ],
  [
    { C1: 't u', C2: 't u' },
    { t: 3, u: 3 },
    { C1: 't0 t1 u0 u1', C2: 't2 u2' },
  ],
  [{ C1: 't' }, { t: 1, u: 1 }, { C1: 't0' }],
])('[GROUP-13] range: %j over %j gives %j', (members, counts, expected) => {
  const assigned = rangeAssignor.assign(
    Object.entries(members).map(([memberId, topics]) => ({ memberId, topics: topics.split(' ') })),
    new Map(Object.entries(counts)),
  );
  const result = [...assigned].map(([memberId, partitions]) => [memberId, short(partitions)]);
  expect(Object.fromEntries(result)).toEqual(expected);
});

test('[GROUP-14] subscriptions and assignments are the bytes of Kafka’s clients', () => {
  expect(encodeSubscription(['a', 'bc']).toString('hex')).toBe(
    ['0000', '00000002', '0001', '61', '0002', '6263', 'ffffffff'].join(''),
  );
  expect(decodeSubscription(encodeSubscription(['a', 'bc']))).toEqual(['a', 'bc']);
  const partitions = [
    { topic: 'a', partition: 1 },
    { topic: 'b', partition: 0 },
    { topic: 'a', partition: 7 },
  ];
  expect(encodeAssignment(partitions).toString('hex')).toBe(
    [
      '0000',
      '00000002',
      ['0001', '61', '00000002', '00000001', '00000007'].join(''),
      ['0001', '62', '00000001', '00000000'].join(''),
      'ffffffff',
    ].join(''),
  );
  expect(short(decodeAssignment(encodeAssignment(partitions)))).toBe('a1 a7 b0');
  expect(decodeAssignment(Buffer.alloc(0))).toEqual([]);
  // Version 1 of a subscription adds the partitions that the member has.
  const later = Buffer.from('00010000000100016100000000000000000000', 'hex');
  expect(decodeSubscription(later)).toEqual(['a']);
});
