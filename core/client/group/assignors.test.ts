import { expect, test } from 'vitest';
import type { TopicPartition } from '../../protocol/broker-api.ts';
import { rangeAssignor, roundRobinAssignor } from './assignors.ts';
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../protocol/consumer-protocol.ts';

/** Of a member that had nothing. */
const NEW = { ownedPartitions: [], generation: -1 };

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
    Object.entries(members).map(([memberId, topics]) => ({
      memberId,
      topics: topics.split(' '),
      ...NEW,
    })),
    new Map(Object.entries(counts)),
  );
  const result = [...assigned].map(([memberId, partitions]) => [memberId, short(partitions)]);
  expect(Object.fromEntries(result)).toEqual(expected);
});

// The cases of Kafka's RoundRobinAssignorTest.
test.each([
  [{ C1: 't' }, { t: 0 }, { C1: '' }],
  [{ C1: 't' }, { t: 3 }, { C1: 't0 t1 t2' }],
  [{ C1: 't' }, { t: 3, u: 3 }, { C1: 't0 t1 t2' }],
  [{ C1: 't u' }, { t: 1, u: 2 }, { C1: 't0 u0 u1' }],
  [{ C1: 't', C2: 't' }, { t: 1 }, { C1: 't0', C2: '' }],
  [{ C2: 't', C1: 't' }, { t: 2 }, { C1: 't0', C2: 't1' }],
  [
    { C1: 't', C2: 't u', C3: 't' },
    { t: 3, u: 2 },
    { C1: 't0', C2: 't1 u0 u1', C3: 't2' },
  ],
  [
    { C1: 't u', C2: 't u' },
    { t: 3, u: 3 },
    { C1: 't0 t2 u1', C2: 't1 u0 u2' },
  ],
])('[GROUP-15] roundrobin: %j over %j gives %j', (members, counts, expected) => {
  const assigned = roundRobinAssignor.assign(
    Object.entries(members).map(([memberId, topics]) => ({
      memberId,
      topics: topics.split(' '),
      ...NEW,
    })),
    new Map(Object.entries(counts)),
  );
  const result = [...assigned].map(([memberId, partitions]) => [memberId, short(partitions)]);
  expect(Object.fromEntries(result)).toEqual(expected);
});

test('[GROUP-13] [GROUP-15] static members come first, by the ids that they keep', () => {
  const members = [
    { memberId: 'a', topics: ['t'], ...NEW },
    { memberId: 'z', groupInstanceId: '2', topics: ['t'], ...NEW },
    { memberId: 'y', groupInstanceId: '1', topics: ['t'], ...NEW },
  ];
  for (const assignor of [rangeAssignor, roundRobinAssignor]) {
    const assigned = assignor.assign(members, new Map([['t', 3]]));
    const inOrder = ['y', 'z', 'a'].map((memberId) => short(assigned.get(memberId)));
    expect(inOrder).toEqual(['t0', 't1', 't2']);
  }
});

test('[GROUP-14] subscriptions and assignments are the bytes of Kafka’s clients', () => {
  const ownedPartitions = [
    { topic: 'b', partition: 3 },
    { topic: 'a', partition: 2 },
    { topic: 'a', partition: 1 },
  ];
  const subscription = { topics: ['bc', 'a'], ownedPartitions, generation: 7 };
  // What `ConsumerProtocol.serializeSubscription` of kafka-clients 4 gives.
  expect(encodeSubscription(subscription).toString('hex')).toBe(
    [
      ['0003', '00000002', '0001', '61', '0002', '6263', 'ffffffff'].join(''),
      ['00000002', '0001', '61', '00000002', '00000001', '00000002'].join(''),
      ['0001', '62', '00000001', '00000003', '00000007', 'ffff'].join(''),
    ].join(''),
  );
  expect(decodeSubscription(encodeSubscription(subscription))).toEqual({
    topics: ['a', 'bc'],
    ownedPartitions: ownedPartitions.toReversed(),
    generation: 7,
  });
  const userData = Buffer.from('data');
  expect(decodeSubscription(encodeSubscription({ ...subscription, userData }))).toMatchObject({
    userData,
  });
  const partitions = [
    { topic: 'a', partition: 1 },
    { topic: 'b', partition: 0 },
    { topic: 'a', partition: 7 },
  ];
  expect(encodeAssignment(partitions).toString('hex')).toBe(
    [
      '0003',
      '00000002',
      ['0001', '61', '00000002', '00000001', '00000007'].join(''),
      ['0001', '62', '00000001', '00000000'].join(''),
      'ffffffff',
    ].join(''),
  );
  expect(short(decodeAssignment(encodeAssignment(partitions)))).toBe('a1 a7 b0');
  expect(decodeAssignment(Buffer.alloc(0))).toEqual([]);
});

test('[GROUP-14] subscriptions of older and newer clients are read', () => {
  const read = (hex: string) => decodeSubscription(Buffer.from(hex, 'hex'));
  const none = { topics: ['a'], ownedPartitions: [], generation: -1 };
  expect(read('0000' + '00000001000161' + 'ffffffff')).toEqual(none);
  const owned = '00000001' + '000161' + '00000001' + '00000004';
  const ownedPartitions = [{ topic: 'a', partition: 4 }];
  expect(read('0001' + '00000001000161' + '00000000' + owned)).toEqual({
    ...none,
    ownedPartitions,
  });
  // Of a version to come: what is behind is not looked at.
  const later = '0009' + '00000001000161' + 'ffffffff' + owned + '00000005' + 'ffff' + 'abcd';
  expect(read(later)).toEqual({ topics: ['a'], ownedPartitions, generation: 5 });
});
