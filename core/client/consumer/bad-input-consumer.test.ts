import { expect, test } from 'vitest';
import { outcomes, wrong } from '../../../test/kit/outcomes.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

/** As in `bad-input.test.ts`, for those who read. */

const serdes = { key: string(), value: string() };
const orders = topic('orders', { ...serdes, partitions: 2 });
const place = { topic: 'orders', partition: 0 };

const open = async () => {
  const fileSystem = new MemoryFileSystem();
  const log = await openLog('/data', { logger: silentLogger, fileSystem });
  await log.producer().sendAll(orders, [{ value: 'a', partition: 0 }]);
  return log;
};

test('[CONSUMER-10] options', async () => {
  await using log = await open();
  const consumer = (options: unknown) => () => log.consumer(wrong(options));
  const subscribe = (topics: unknown, callbacks?: unknown) => () => {
    return log.consumer().subscribe(wrong(topics), wrong(callbacks));
  };
  expect(
    await outcomes({
      'consumer(null)': consumer(null),
      'group: g': consumer({ group: 'g' }),
      "groupId: ''": consumer({ groupId: '' }),
      'maxPollRecords: NaN': consumer({ maxPollRecords: NaN }),
      "autoOffsetReset: 'erliest'": consumer({ autoOffsetReset: 'erliest' }),
      "partitionAssignmentStrategy: ['range']": consumer({
        partitionAssignmentStrategy: ['range'],
      }),
      'signal: {}': consumer({ signal: {} }),
      'sessionTimeoutMs: 1': () => {
        const short = log.consumer({ groupId: 'g', sessionTimeoutMs: 1 }).subscribe([orders]);
        return short.poll({ maxWaitMs: 1_000 });
      },
      'subscribe()': subscribe(undefined),
      'subscribe(topic)': subscribe(orders),
    }),
  ).toMatchInlineSnapshot(`
    "
    consumer(null)
      INVALID_OPTION: consumer: options must be an object, not null
    group: g
      UNKNOWN_OPTION: consumer has no option group; did you mean groupId?
    groupId: ''
      INVALID_OPTION: consumer: groupId must be a string that is not empty, not ""
    maxPollRecords: NaN
      INVALID_OPTION: consumer: maxPollRecords must be an integer, 1 or more, not NaN
    autoOffsetReset: 'erliest'
      INVALID_OPTION: consumer: autoOffsetReset must be "earliest", "latest", "none", {
        timestampMs } or { byDurationMs } with an integer, 0 or more, not "erliest"
    partitionAssignmentStrategy: ['range']
      INVALID_OPTION: consumer: partitionAssignmentStrategy must be a list of assignors, such
        as [rangeAssignor], not ["range"]
    signal: {}
      INVALID_OPTION: consumer: signal must be an AbortSignal, not {}
    sessionTimeoutMs: 1
      INVALID_SESSION_TIMEOUT: sessionTimeoutMs must be 10 to 1800000, not 1
    subscribe()
      INVALID_OPTION: subscribe: topics must be a list of topics, or a topicPattern, not
        undefined
    subscribe(topic)
      INVALID_OPTION: subscribe: topics must be a list of topics, or a topicPattern, not
        {"name":"orders","key":{"name":"string"},"value":{"name":"string"},"partition...
    "
  `);
});

test('[CONSUMER-10] subscriptions and assignments', async () => {
  await using log = await open();
  const subscribe = (topics: unknown, callbacks?: unknown) => () => {
    return log.consumer().subscribe(wrong(topics), wrong(callbacks));
  };
  const assign = (given: unknown) => () => log.consumer().assign(wrong(given));
  expect(
    await outcomes({
      'subscribe([name])': subscribe(['orders']),
      'subscribe(/orders/)': subscribe(/orders/),
      onRevoke: subscribe([orders], { onRevoke: () => undefined }),
      'onAssigned: 1': subscribe([orders], { onAssigned: 1 }),
      'assign()': assign(undefined),
      'assign([topic])': assign([orders]),
      'a name': assign([place]),
      'no partition': assign([{ topic: orders }]),
      'partition: 9': assign([{ topic: orders, partition: 9 }]),
      'offset: -1': assign([{ topic: orders, partition: 0, offset: -1 }]),
      'tail$(name)': () => log.tail$(wrong('orders')),
    }),
  ).toMatchInlineSnapshot(`
    "
    subscribe([name])
      INVALID_OPTION: subscribe: topics[0] must be a topic, as topic(name, { key, value })
        makes one, not "orders"
    subscribe(/orders/)
      INVALID_OPTION: subscribe: topics must be a list of topics, or a topicPattern, not {}
    onRevoke
      UNKNOWN_OPTION: subscribe has no option onRevoke; did you mean onRevoked?
    onAssigned: 1
      INVALID_OPTION: subscribe: onAssigned must be a function, not 1
    assign()
      INVALID_OPTION: assign: assignments must be a list of { topic, partition }, not
        undefined
    assign([topic])
      INVALID_OPTION: assign: assignments[0].topic must be a topic, as topic(name, { key,
        value }) makes one, not undefined
    a name
      INVALID_OPTION: assign: assignments[0].topic must be a topic, as topic(name, { key,
        value }) makes one, not "orders"
    no partition
      INVALID_OPTION: assign: assignments[0].partition must be an integer, 0 or more, not
        undefined
    partition: 9
      UNKNOWN_TOPIC_OR_PARTITION: topic orders has partitions 0 to 1, not 9
    offset: -1
      INVALID_OPTION: assign: assignments[0].offset must be an integer, 0 or more, not -1
    tail$(name)
      INVALID_OPTION: tail$: topic must be a topic, as topic(name, { key, value }) makes one,
        not "orders"
    "
  `);
});

test('[CONSUMER-10] reading', async () => {
  await using log = await open();
  await using consumer = log.consumer({ groupId: 'g' });
  await consumer.assign([{ topic: orders, partition: 0 }]);
  expect(
    await outcomes({
      'poll, not subscribed': () => log.consumer().poll(),
      'commit without groupId': () => log.consumer().subscribe([orders]).commit(),
      'commit before the first poll': () => {
        return log.consumer({ groupId: 'h' }).subscribe([orders]).commit();
      },
      'poll(100)': () => consumer.poll(wrong(100)),
      'maxWait: 100': () => consumer.poll(wrong({ maxWait: 100 })),
      'maxWaitMs: NaN': () => consumer.poll({ maxWaitMs: NaN }),
      'maxWaitMs: -1': () => consumer.pollBatches({ maxWaitMs: -1 }),
      'two polls at once': () => {
        const poll = () => consumer.poll({ maxWaitMs: 1_000 });
        return Promise.all([poll(), poll()]);
      },
    }),
  ).toMatchInlineSnapshot(`
    "
    poll, not subscribed
      NOT_SUBSCRIBED: the consumer has neither subscribed nor assigned; call one of them first
    commit without groupId
      NOT_SUBSCRIBED: the consumer has no groupId, for which offsets would be committed
    commit before the first poll
      UNKNOWN_MEMBER_ID: the consumer has no seat in group h: it has not joined yet; poll to
        join
    poll(100)
      INVALID_OPTION: poll: options must be an object, not 100
    maxWait: 100
      UNKNOWN_OPTION: poll has no option maxWait; did you mean maxWaitMs?
    maxWaitMs: NaN
      INVALID_OPTION: poll: maxWaitMs must be a number of milliseconds, 0 or more, not NaN
    maxWaitMs: -1
      INVALID_OPTION: pollBatches: maxWaitMs must be a number of milliseconds, 0 or more, not
        -1
    two polls at once
      CONCURRENT_POLL: poll while the consumer's poll is under way: wait for it, or give each
        reader a consumer of its own
    "
  `);
});

test('[CONSUMER-10] positions', async () => {
  await using log = await open();
  await using consumer = log.consumer({ groupId: 'g' });
  await consumer.assign([{ topic: orders, partition: 0 }]);
  expect(
    await outcomes({
      'seek(undefined)': () => consumer.seek(wrong(undefined), 0),
      'seek to -1': () => consumer.seek(place, -1),
      'seek to NaN': () => consumer.seek(place, NaN),
      'seek elsewhere': () => consumer.seek({ topic: 'orders', partition: 1 }, 0),
      'pause(topic)': () => consumer.pause(wrong(orders)),
      'endOffsets of a typo': () => consumer.endOffsets([{ topic: 'ordrs', partition: 0 }]),
      "endOffsets(['orders'])": () => consumer.endOffsets(wrong(['orders'])),
      'offsetsForTimes(Date)': () => consumer.offsetsForTimes([place], wrong(new Date(0))),
      'committed(null)': () => consumer.committed(wrong(null)),
      'lag$(0)': () => consumer.lag$(0),
    }),
  ).toMatchInlineSnapshot(`
    "
    seek(undefined)
      INVALID_OPTION: seek: partition must be { topic, partition }, not undefined
    seek to -1
      INVALID_OPTION: seek: offset must be an integer, 0 or more, not -1
    seek to NaN
      INVALID_OPTION: seek: offset must be an integer, 0 or more, not NaN
    seek elsewhere
      NOT_ASSIGNED: this consumer does not read orders-1; its assignment says what it reads,
        from its first poll on
    pause(topic)
      INVALID_OPTION: pause: partitions must be a list of { topic, partition }, not
        {"name":"orders","key":{"name":"string"},"value":{"name":"string"},"partition...
    endOffsets of a typo
      UNKNOWN_TOPIC_OR_PARTITION: there is no topic ordrs; did you mean orders?
    endOffsets(['orders'])
      INVALID_OPTION: endOffsets: partitions[0] must be { topic, partition }, not "orders"
    offsetsForTimes(Date)
      INVALID_OPTION: offsetsForTimes: timestampMs must be an integer, 0 or more, not
        "1970-01-01T00:00:00.000Z"
    committed(null)
      INVALID_OPTION: committed: partitions must be a list of { topic, partition }, not null
    lag$(0)
      INVALID_OPTION: lag$: everyMs must be an integer, 1 or more, not 0
    "
  `);
});

test('[CONSUMER-10] commits', async () => {
  await using log = await open();
  await using consumer = log.consumer({ groupId: 'g' });
  await consumer.assign([{ topic: orders, partition: 0 }]);
  const commit = (offsets: unknown) => () => consumer.commit(wrong(offsets));
  expect(
    await outcomes({
      'commit({})': commit({}),
      'commit without offset': commit([place]),
      'commit -1': commit([{ ...place, offset: -1 }]),
      'commit NaN': commit([{ ...place, offset: NaN }]),
      "commit '1'": commit([{ ...place, offset: '1' }]),
      'commit elsewhere': commit([{ topic: 'orders', partition: 1, offset: 1 }]),
      'metadata: 5': commit([{ ...place, offset: 1, metadata: 5 }]),
      'metadata of 5000 bytes': commit([{ ...place, offset: 1, metadata: 'x'.repeat(5_000) }]),
      'commitRecord(undefined)': () => consumer.commitRecord(wrong(undefined)),
    }),
  ).toMatchInlineSnapshot(`
    "
    commit({})
      INVALID_OPTION: commit: offsets must be a list of { topic, partition, offset }, not {}
    commit without offset
      INVALID_OPTION: commit: offsets[0].offset must be an integer, 0 or more, not undefined
    commit -1
      INVALID_OPTION: commit: offsets[0].offset must be an integer, 0 or more, not -1
    commit NaN
      INVALID_OPTION: commit: offsets[0].offset must be an integer, 0 or more, not NaN
    commit '1'
      INVALID_OPTION: commit: offsets[0].offset must be an integer, 0 or more, not "1"
    commit elsewhere
      NOT_ASSIGNED: this consumer does not read orders-1; its assignment says what it reads,
        from its first poll on
    metadata: 5
      INVALID_OPTION: commit: offsets[0].metadata must be a string, not 5
    metadata of 5000 bytes
      OFFSET_METADATA_TOO_LARGE: offset metadata of 5000 bytes exceeds 4096
    commitRecord(undefined)
      INVALID_OPTION: commitRecord: record must be { topic, partition }, not undefined
    "
  `);
  expect(await consumer.committed([place])).toEqual(new Map());
});

test('[CONSUMER-10] a consumer that is closed', async () => {
  await using log = await open();
  const consumer = log.consumer({ groupId: 'g' }).subscribe([orders]);
  await consumer.poll();
  await Promise.all([consumer.close(), consumer.close()]);
  const offset = 0;
  expect(
    await outcomes({
      close: () => consumer.close(),
      poll: () => consumer.poll(),
      iterate: async () => {
        for await (const record of consumer) expect(record).toBeUndefined();
      },
      subscribe: () => consumer.subscribe([orders]),
      assign: () => consumer.assign([{ topic: orders, partition: 0 }]),
      unsubscribe: () => consumer.unsubscribe(),
      commit: () => consumer.commit([{ ...place, offset }]),
      groupMetadata: () => consumer.groupMetadata(),
      seek: () => consumer.seek(place, offset),
      assignment: () => expect(consumer.assignment).toEqual([]),
    }),
  ).toMatchInlineSnapshot(`
    "
    close
      fine
    poll
      CLOSED: the consumer is closed
    iterate
      CLOSED: the consumer is closed
    subscribe
      CLOSED: the consumer is closed
    assign
      CLOSED: the consumer is closed
    unsubscribe
      fine
    commit
      CLOSED: the consumer is closed
    groupMetadata
      CLOSED: the consumer is closed
    seek
      NOT_ASSIGNED: this consumer does not read orders-0; its assignment says what it reads,
        from its first poll on
    assignment
      fine
    "
  `);
  expect(await log.admin().listGroupOffsets('g')).toMatchObject([{ offset: 1 }, { offset: 0 }]);
});
