import { expect, test } from 'vitest';
import { outcomes, wrong } from '../../test/kit/outcomes.ts';
import { LogError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { msgpack } from '../serde/msgpack.ts';
import { string } from '../serde/text.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { openLog } from './open-log.ts';
import type { GroupMetadata } from './producer/transaction.ts';
import { topic, topicPattern } from './topic.ts';

/**
 * What a newcomer does wrong, or who runs without the compiler, and what they read then. The
 * snapshots are for reading: would you know what to do?
 */

const serdes = { key: string(), value: string() };
const orders = topic('orders', { ...serdes, partitions: 2 });
/** Its serde writes undefined as well. */
const counts = topic('counts', { key: string(), value: msgpack<number>() });
const place = { topic: 'orders', partition: 0 };

const open = async () => {
  const fileSystem = new MemoryFileSystem();
  const log = await openLog('/data', { logger: silentLogger, fileSystem });
  await log.producer().sendAll(orders, [{ value: 'a', partition: 0 }]);
  return log;
};

test('[PRODUCER-12] opening a log', async () => {
  const fileSystem = new MemoryFileSystem();
  expect(
    await outcomes({
      'openLog()': () => openLog(wrong(undefined)),
      "openLog('')": () => openLog(''),
      'openLog(options)': () => openLog(wrong({ fileSystem })),
      'openLog(path, null)': () => openLog('/data', wrong(null)),
      'clock: Date': () => openLog('/data', { fileSystem, clock: wrong(Date) }),
      fileSystm: () => openLog('/data', wrong({ fileSystm: fileSystem })),
      'topic()': () => topic(wrong(undefined), serdes),
      "topic('a b')": () => topic('a b', serdes),
      'topic of 250 characters': () => topic('x'.repeat(250), serdes),
    }),
  ).toMatchInlineSnapshot(`
    "
    openLog()
      INVALID_OPTION: openLog: directory must be a string that is not empty, not undefined
    openLog('')
      INVALID_OPTION: openLog: directory must be a string that is not empty, not ""
    openLog(options)
      INVALID_OPTION: openLog: directory must be a string that is not empty, not
        {"fileSystem":{"capacityBytes":null}}
    openLog(path, null)
      INVALID_OPTION: openLog: options must be an object, not null
    clock: Date
      INVALID_OPTION: openLog: clock must be an object with nowMs, monotonicMs, setTimer and
        setBackgroundTimer, not a function
    fileSystm
      UNKNOWN_OPTION: openLog has no option fileSystm; did you mean fileSystem?
    topic()
      INVALID_TOPIC: undefined cannot name a topic: it is no string
    topic('a b')
      INVALID_TOPIC: "a b" cannot name a topic: only a-z A-Z 0-9 . _ - are allowed
    topic of 250 characters
      INVALID_TOPIC:
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...
        cannot name a topic: it is longer than 249 characters
    "
  `);
});

test('[PRODUCER-12] naming topics', async () => {
  expect(
    await outcomes({
      'no options': () => topic('orders', wrong(undefined)),
      'no value': () => topic('orders', wrong({ key: string() })),
      'string, not string()': () => topic('orders', wrong({ key: string, value: string() })),
      'partitions: NaN': () => topic('orders', { ...serdes, partitions: NaN }),
      'partition: 4': () => topic('orders', wrong({ ...serdes, partition: 4 })),
      'retention: 1': () => topic('orders', { ...serdes, config: wrong({ retention: 1 }) }),
      "cleanupPolicy: 'compct'": () => {
        return topic('orders', { ...serdes, config: { cleanupPolicy: wrong('compct') } });
      },
      "topicPattern('^orders')": () => topicPattern(wrong('^orders'), serdes),
    }),
  ).toMatchInlineSnapshot(`
    "
    no options
      INVALID_OPTION: topic orders: options must be an object, not undefined
    no value
      INVALID_OPTION: topic orders: value is missing; it must be a serde, such as string() or
        json()
    string, not string()
      INVALID_OPTION: topic orders: key must be a serde, such as string() or json(), not a
        function
    partitions: NaN
      INVALID_OPTION: topic orders: partitions must be an integer, 1 to 10000, not NaN
    partition: 4
      UNKNOWN_OPTION: topic orders has no option partition; did you mean partitions?
    retention: 1
      INVALID_CONFIG: there is no topic setting retention; did you mean retention.ms?
    cleanupPolicy: 'compct'
      INVALID_CONFIG: topic setting cleanup.policy must be "delete" or "compact" or
        "compact,delete", not "compct"
    topicPattern('^orders')
      INVALID_OPTION: topicPattern: pattern must be a regular expression, not "^orders"
    "
  `);
});

test('[PRODUCER-12] [PRODUCER-9] sending: options and topics', async () => {
  await using log = await open();
  await using producer = log.producer();
  expect(
    await outcomes({
      'producer(null)': () => log.producer(wrong(null)),
      'ack: 1': () => log.producer(wrong({ ack: 1 })),
      'acks: 2': () => log.producer({ acks: wrong(2) }),
      "transactionalId: ''": () => log.producer({ transactionalId: '' }),
      'the name of a topic': () => producer.send(wrong('orders'), { value: 'a' }),
      'no topic': () => producer.send(wrong(undefined), { value: 'a' }),
      'an internal topic': () => producer.send(topic('__consumer_offsets', serdes), { value: 'a' }),
      'another number of partitions': () => {
        return producer.send(topic('orders', { ...serdes, partitions: 3 }), { value: 'a' });
      },
    }),
  ).toMatchInlineSnapshot(`
    "
    producer(null)
      INVALID_OPTION: producer: options must be an object, not null
    ack: 1
      UNKNOWN_OPTION: producer has no option ack; did you mean acks?
    acks: 2
      INVALID_OPTION: producer: acks must be 0 or 1 or "all", not 2
    transactionalId: ''
      INVALID_OPTION: producer: transactionalId must be a string that is not empty, not ""
    the name of a topic
      INVALID_OPTION: producer: topic must be a topic, as topic(name, { key, value }) makes
        one, not "orders"
    no topic
      INVALID_OPTION: producer: topic must be a topic, as topic(name, { key, value }) makes
        one, not undefined
    an internal topic
      INVALID_TOPIC: __consumer_offsets cannot be changed: it is internal
    another number of partitions
      PARTITION_MISMATCH: topic orders has 2 partitions, not the 3 of its handle; use
        partitions: 2, or write to a new topic
    "
  `);
});

test('[PRODUCER-12] [PRODUCER-9] sending: records', async () => {
  await using log = await open();
  await using producer = log.producer();
  const send = (record: unknown) => () => producer.send(orders, wrong(record));
  expect(
    await outcomes({
      'no record': send(undefined),
      'a value as record': send('a'),
      'no value': send({ key: 'k' }),
      'val for value': () => producer.send(counts, wrong({ key: 'k', val: 1 })),
      'a number as value': send({ value: 1 }),
      'a number as key': send({ key: 1, value: 'a' }),
      'partition: 2': send({ value: 'a', partition: 2 }),
      "partition: '0'": send({ value: 'a', partition: '0' }),
      'timestampMs: new Date()': send({ value: 'a', timestampMs: new Date(0) }),
      'timestampMs: 1.5': send({ value: 'a', timestampMs: 1.5 }),
    }),
  ).toMatchInlineSnapshot(`
    "
    no record
      INVALID_OPTION: a record for orders must be an object with a value, not undefined
    a value as record
      INVALID_OPTION: a record for orders must be an object with a value, not "a"
    no value
      INVALID_OPTION: a record for orders must be an object with a value, not {"key":"k"}
    val for value
      INVALID_OPTION: a record for counts must be an object with a value, not
        {"key":"k","val":1}
    a number as value
      SERIALIZATION_FAILED: the value of a record for orders could not be written by string:
        expected a string, got number
    a number as key
      SERIALIZATION_FAILED: the key of a record for orders could not be written by string:
        expected a string, got number
    partition: 2
      INVALID_PARTITIONS: topic orders has partitions 0 to 1, not 2
    partition: '0'
      INVALID_PARTITIONS: topic orders has partitions 0 to 1, not "0"
    timestampMs: new Date()
      INVALID_TIMESTAMP: "1970-01-01T00:00:00.000Z" is no timestamp for orders: it must be
        whole milliseconds since 1970, such as Date.now()
    timestampMs: 1.5
      INVALID_TIMESTAMP: 1.5 is no timestamp for orders: it must be whole milliseconds since
        1970, such as Date.now()
    "
  `);
});

test('[PRODUCER-12] [PRODUCER-9] sending: headers, sizes, callbacks', async () => {
  await using log = await open();
  await using producer = log.producer();
  const compacted = topic('latest', { ...serdes, config: { cleanupPolicy: 'compact' } });
  const small = topic('small', { ...serdes, config: { maxMessageBytes: 100 } });
  const send = (record: unknown) => () => producer.send(orders, wrong(record));
  expect(
    await outcomes({
      'timestampMs: -2': send({ value: 'a', timestampMs: -2 }),
      'headers: {}': send({ value: 'a', headers: { trace: '1' } }),
      'a string as value of a header': send({ value: 'a', headers: [{ key: 'k', value: 'v' }] }),
      'a callback that is none': () => producer.send(orders, { value: 'a' }, wrong(5)),
      'a record of 2 MB': send({ value: 'x'.repeat(2e6) }),
      'a record too large for its topic': () => producer.send(small, { value: 'x'.repeat(200) }),
      'no key in a compacted topic': () => producer.send(compacted, { value: 'a' }),
      'sendAll(topic)': () => producer.sendAll(orders, wrong(undefined)),
    }),
  ).toMatchInlineSnapshot(`
    "
    timestampMs: -2
      INVALID_TIMESTAMP: -2 is no timestamp for orders: it must be whole milliseconds since
        1970, such as Date.now()
    headers: {}
      SERIALIZATION_FAILED: the headers of a record for orders must be a list of { key, value
        } with a string and a Uint8Array or null, and they are {"trace":"1"}
    a string as value of a header
      SERIALIZATION_FAILED: the headers of a record for orders must be a list of { key, value
        } with a string and a Uint8Array or null, and one is {"key":"k","value":"v"}
    a callback that is none
      INVALID_OPTION: send: callback must be a function, not 5
    a record of 2 MB
      MESSAGE_TOO_LARGE: a record for orders takes more than maxRequestSize=1048576 bytes;
        raise it and the topic's maxMessageBytes, or make the record smaller
    a record too large for its topic
      MESSAGE_TOO_LARGE: a batch of 270 bytes for small exceeds maxMessageBytes=100
    no key in a compacted topic
      INVALID_RECORD: a batch for latest-0 was refused: a record without a key, in a compacted
        topic
    sendAll(topic)
      INVALID_OPTION: sendAll: records must be an array, or anything else that yields records,
        not undefined
    "
  `);
});

test('[PRODUCER-12] [PRODUCER-11] sending: many records, and to what is closed', async () => {
  await using log = await open();
  await using producer = log.producer();
  const closed = log.producer();
  const writer = await closed.writer(orders);
  await closed.close();
  expect(
    await outcomes({
      'sendAll(topic, record)': () => producer.sendAll(orders, wrong({ value: 'a' })),
      'sendAll(topic, [null])': () => producer.sendAll(orders, wrong([null])),
      'transaction() without transactionalId': () => producer.transaction(() => undefined),
      'send to a closed one': () => closed.send(orders, { value: 'a' }),
      'sendAll to a closed one': () => closed.sendAll(orders, [{ value: 'a' }]),
      'writer of a closed one': () => closed.writer(orders),
      'a writer of before': () => void writer.write('k', 'v'),
      'close, again': () => closed.close(),
      'flush, closed': () => closed.flush(),
    }),
  ).toMatchInlineSnapshot(`
    "
    sendAll(topic, record)
      INVALID_OPTION: sendAll: records must be an array, or anything else that yields records,
        not {"value":"a"}
    sendAll(topic, [null])
      INVALID_OPTION: a record for orders must be an object with a value, not null
    transaction() without transactionalId
      NO_TRANSACTION: transactions need a producer with a transactionalId
    send to a closed one
      CLOSED: the producer is closed
    sendAll to a closed one
      CLOSED: the producer is closed
    writer of a closed one
      CLOSED: the producer is closed
    a writer of before
      CLOSED: the producer is closed
    close, again
      fine
    flush, closed
      fine
    "
  `);
});

test('[PRODUCER-12] [TXN-9] transactions: records and offsets', async () => {
  await using log = await open();
  await using producer = log.producer({ transactionalId: 'import' });
  const next = { ...place, offset: 1 };
  const attempt = (offsets: unknown, group: unknown = 'g') => {
    return () => producer.transaction((tx) => tx.sendOffsets(wrong(offsets), wrong(group)));
  };
  expect(
    await outcomes({
      'transaction()': () => producer.transaction(wrong(undefined)),
      'send(name)': () => producer.transaction((tx) => tx.send(wrong('orders'), { value: 'a' })),
      'send(topic)': () => producer.transaction((tx) => tx.send(orders, wrong(undefined))),
      'sendAll(topic, record)': () => {
        return producer.transaction((tx) => tx.sendAll(orders, wrong({ value: 'a' })));
      },
      'sendOffsets()': attempt(undefined),
      'sendOffsets(a Map)': attempt(new Map([['orders-0', next]])),
      'offset: NaN': attempt([{ ...place, offset: NaN }]),
      'offset: -1': attempt([{ ...place, offset: -1 }]),
      'partition: 7': attempt([{ ...next, partition: 7 }]),
    }),
  ).toMatchInlineSnapshot(`
    "
    transaction()
      INVALID_OPTION: transaction: write must be a function, not undefined
    send(name)
      INVALID_OPTION: send: topic must be a topic, as topic(name, { key, value }) makes one,
        not "orders"
    send(topic)
      INVALID_OPTION: a record for orders must be an object with a value, not undefined
    sendAll(topic, record)
      INVALID_OPTION: sendAll: records must be an array, or anything else that yields records,
        not {"value":"a"}
    sendOffsets()
      INVALID_OPTION: sendOffsets: offsets must be a list of { topic, partition, offset }, not
        undefined
    sendOffsets(a Map)
      INVALID_OPTION: sendOffsets: offsets must be a list of { topic, partition, offset }, not
        {}
    offset: NaN
      INVALID_OPTION: sendOffsets: offsets[0].offset must be an integer, 0 or more, not NaN
    offset: -1
      INVALID_OPTION: sendOffsets: offsets[0].offset must be an integer, 0 or more, not -1
    partition: 7
      UNKNOWN_TOPIC_OR_PARTITION: topic orders has partitions 0 to 1, not 7
    "
  `);
});

test('[PRODUCER-12] [TXN-9] transactions: groups and ends', async () => {
  await using log = await open();
  await using producer = log.producer({ transactionalId: 'import' });
  const next = { ...place, offset: 1 };
  const attempt = (offsets: unknown, group: unknown = 'g') => {
    return () => producer.transaction((tx) => tx.sendOffsets(wrong(offsets), wrong(group)));
  };
  const ended = await producer.beginTransaction();
  await ended.commit();
  expect(
    await outcomes({
      'topic: order': attempt([{ ...next, topic: 'order' }]),
      'a topic for a name': attempt([{ ...next, topic: orders }]),
      'metadata: 5': attempt([{ ...next, metadata: 5 }]),
      'no group': attempt([next], null),
      "group ''": attempt([next], ''),
      'commit, again': () => ended.commit(),
      'send, ended': () => ended.send(orders, { value: 'a' }),
      'abort, ended': () => ended.abort(),
      'a second one': () => producer.transaction(() => producer.beginTransaction()),
    }),
  ).toMatchInlineSnapshot(`
    "
    topic: order
      UNKNOWN_TOPIC_OR_PARTITION: there is no topic order; did you mean orders?
    a topic for a name
      INVALID_OPTION: sendOffsets: offsets[0].topic must be the name of a topic, not
        {"name":"orders","key":{"name":"string"},"value":{"name":"string"},"partition...
    metadata: 5
      INVALID_OPTION: sendOffsets: offsets[0].metadata must be a string, not 5
    no group
      INVALID_OPTION: sendOffsets: groupId must be a string that is not empty, not undefined
    group ''
      INVALID_OPTION: sendOffsets: groupId must be a string that is not empty, not ""
    commit, again
      NO_TRANSACTION: the transaction has ended; commit needs an open one
    send, ended
      NO_TRANSACTION: the transaction has ended; send needs an open one
    abort, ended
      fine
    a second one
      INVALID_TXN_STATE: import: another transaction of this producer is open; commit or abort
        it first
    "
  `);
});

test('[ADMIN-22] administration: creating topics', async () => {
  await using log = await open();
  const admin = log.admin();
  const create = (name: unknown, options?: unknown) => () => {
    return admin.createTopic(wrong(name), wrong(options));
  };
  expect(
    await outcomes({
      'createTopic()': create(undefined),
      'createTopic(NaN)': create(NaN),
      'createTopic(handle)': create(orders),
      'one that exists': create('orders'),
      'an internal one': create('__consumer_offsets'),
      'numPartitions: 3': create('new', { numPartitions: 3 }),
      'partitions: 0': create('new', { partitions: 0 }),
      'partitions: 1e9': create('new', { partitions: 1e9 }),
      'retentionMs: soon': create('new', { config: { retentionMs: 'soon' } }),
    }),
  ).toMatchInlineSnapshot(`
    "
    createTopic()
      INVALID_TOPIC: undefined cannot name a topic: it is no string
    createTopic(NaN)
      INVALID_TOPIC: NaN cannot name a topic: it is no string
    createTopic(handle)
      INVALID_TOPIC:
        {"name":"orders","key":{"name":"string"},"value":{"name":"string"},"partition...
        cannot name a topic: it is no string
    one that exists
      TOPIC_ALREADY_EXISTS: topic orders exists already
    an internal one
      INVALID_TOPIC: __consumer_offsets cannot be changed: it is internal
    numPartitions: 3
      UNKNOWN_OPTION: createTopic has no option numPartitions; did you mean partitions?
    partitions: 0
      INVALID_PARTITIONS: topic new needs 1 to 10000 partitions, not 0
    partitions: 1e9
      INVALID_PARTITIONS: topic new needs 1 to 10000 partitions, not 1000000000
    retentionMs: soon
      INVALID_CONFIG: topic setting retention.ms must be an integer, -1 or more, not "soon"
    "
  `);
});

test('[ADMIN-22] administration: more, fewer, other topics', async () => {
  await using log = await open();
  const admin = log.admin();
  const create = (name: unknown, options?: unknown) => () => {
    return admin.createTopic(wrong(name), wrong(options));
  };
  const alter = (changes: unknown) => () => admin.alterConfigs('orders', wrong(changes));
  expect(
    await outcomes({
      'config: 5': create('new', { config: 5 }),
      'ensureTopic(name)': () => admin.ensureTopic(wrong('orders')),
      'createPartitions: fewer': () => admin.createPartitions('orders', 1),
      'createPartitions: NaN': () => admin.createPartitions('orders', NaN),
      'deleteTopics(name)': () => admin.deleteTopics(wrong('orders')),
      'deleteTopics: a typo': () => admin.deleteTopics(['ordrs']),
      'deleteTopics: an internal one': () => admin.deleteTopics(['__transaction_state']),
      'describeTopics([undefined])': () => admin.describeTopics(wrong([undefined])),
      'alterConfigs()': alter(undefined),
    }),
  ).toMatchInlineSnapshot(`
    "
    config: 5
      INVALID_OPTION: createTopic: config must be an object, not 5
    ensureTopic(name)
      INVALID_OPTION: ensureTopic: topic must be a topic, as topic(name, { key, value }) makes
        one, not "orders"
    createPartitions: fewer
      INVALID_PARTITIONS: topic orders has 2 partitions; 1 would not be more, and partitions
        are never taken away, because records are in them
    createPartitions: NaN
      INVALID_PARTITIONS: topic orders needs 1 to 10000 partitions, not NaN
    deleteTopics(name)
      INVALID_OPTION: deleteTopics: topics must be a list of names, not "orders"
    deleteTopics: a typo
      UNKNOWN_TOPIC_OR_PARTITION: there is no topic ordrs; did you mean orders?
    deleteTopics: an internal one
      INVALID_TOPIC: __transaction_state cannot be changed: it is internal
    describeTopics([undefined])
      INVALID_OPTION: describeTopics: topics[0] must be a string that is not empty, not
        undefined
    alterConfigs()
      INVALID_OPTION: alterConfigs: options must be an object, not undefined
    "
  `);
});

test('[ADMIN-22] administration: settings and records', async () => {
  await using log = await open();
  const admin = log.admin();
  const alter = (changes: unknown) => () => admin.alterConfigs('orders', wrong(changes));
  expect(
    await outcomes({
      'a value that cannot be': alter({ set: { retentionMs: -2 } }),
      'a typo': alter({ set: { retentonMs: 1 } }),
      'a list of one': alter({ append: { retentionMs: 1 } }),
      'delete: a name': alter({ delete: 'retentionMs' }),
      'deleteRecords: no offset': () => admin.deleteRecords(wrong([place])),
      'deleteRecords: NaN': () => admin.deleteRecords([{ ...place, offset: NaN }]),
      'deleteRecords: too far': () => admin.deleteRecords([{ ...place, offset: 9 }]),
      'describeGroup()': () => admin.describeGroup(wrong(undefined)),
      'describeGroup: a typo': () => admin.describeGroup('nobody'),
    }),
  ).toMatchInlineSnapshot(`
    "
    a value that cannot be
      INVALID_CONFIG: topic setting retention.ms must be an integer, -1 or more, not "-2"
    a typo
      INVALID_CONFIG: there is no topic setting retenton.ms; did you mean retention.ms?
    a list of one
      INVALID_CONFIG: topic setting retention.ms is no list, so APPEND is not for it
    delete: a name
      INVALID_OPTION: alterConfigs: delete must be a list of names, not "retentionMs"
    deleteRecords: no offset
      INVALID_OPTION: deleteRecords: offsets[0].offset must be an integer, -1 or more, not
        undefined
    deleteRecords: NaN
      INVALID_OPTION: deleteRecords: offsets[0].offset must be an integer, -1 or more, not NaN
    deleteRecords: too far
      OFFSET_OUT_OF_RANGE: offset 9 of orders-0 cannot be read: the log has 0 to 1
    describeGroup()
      INVALID_OPTION: describeGroup: groupId must be a string that is not empty, not undefined
    describeGroup: a typo
      GROUP_ID_NOT_FOUND: there is no group nobody
    "
  `);
});

test('[ADMIN-22] administration: groups and transactions', async () => {
  await using log = await open();
  const admin = log.admin();
  const move = (request: unknown) => () => admin.alterGroupOffsets('g', wrong(request));
  expect(
    await outcomes({
      'deleteGroups(name)': () => admin.deleteGroups(wrong('g')),
      'alterGroupOffsets: nowhere': move({}),
      "to: 'earlest'": move({ to: 'earlest', of: ['orders'] }),
      'of: a name': move({ to: 'earliest', of: 'orders' }),
      'of: a typo': move({ to: 'earliest', of: ['ordrs'] }),
      'no group': () => admin.alterGroupOffsets('', { to: 'earliest', of: ['orders'] }),
      'abortTransaction(id)': () => admin.abortTransaction(wrong('import')),
      'abortTransaction: a typo': () => admin.abortTransaction({ transactionalId: 'imprt' }),
      'describeProducers()': () => admin.describeProducers(wrong(undefined)),
    }),
  ).toMatchInlineSnapshot(`
    "
    deleteGroups(name)
      INVALID_OPTION: deleteGroups: groupIds must be a list of names, not "g"
    alterGroupOffsets: nowhere
      INVALID_OPTION: alterGroupOffsets: to must be "earliest", "latest", "current", or an
        object with an integer as its one field: offset or timestampMs or durationMs or
        shiftBy, not undefined
    to: 'earlest'
      INVALID_OPTION: alterGroupOffsets: to must be "earliest", "latest", "current", or an
        object with an integer as its one field: offset or timestampMs or durationMs or
        shiftBy, not "earlest"
    of: a name
      INVALID_OPTION: alterGroupOffsets: of must be a list of topics or partitions, not
        "orders"
    of: a typo
      UNKNOWN_TOPIC_OR_PARTITION: there is no topic ordrs; did you mean orders?
    no group
      INVALID_OPTION: alterGroupOffsets: groupId must be a string that is not empty, not ""
    abortTransaction(id)
      INVALID_OPTION: abortTransaction: which must be an object, not "import"
    abortTransaction: a typo
      TRANSACTIONAL_ID_NOT_FOUND: no producer has begun with transactionalId imprt
    describeProducers()
      INVALID_OPTION: describeProducers: partition must be { topic, partition }, not undefined
    "
  `);
  expect(await admin.listTopics()).toEqual(['orders']);
});

test('[PRODUCER-11] [CONSUMER-7] a log that is closed: producers', async () => {
  const log = await open();
  const producer = log.producer();
  const transactions = log.producer({ transactionalId: 'import' });
  const consumer = log.consumer({ groupId: 'g' }).subscribe([orders]);
  await consumer.poll();
  const transaction = await transactions.beginTransaction();
  transaction.send(orders, { value: 'b' });
  await Promise.all([log.close(), log.close()]);
  expect(
    await outcomes({
      close: () => log.close(),
      send: () => producer.send(orders, { value: 'a' }),
      'send to a new topic': () => producer.send(topic('new', serdes), { value: 'a' }),
      sendAll: () => producer.sendAll(orders, [{ value: 'a' }]),
      'commit of a transaction': () => transaction.commit(),
      'the next transaction': () => transactions.beginTransaction(),
      poll: () => consumer.poll(),
    }),
  ).toMatchInlineSnapshot(`
    "
    close
      fine
    send
      CLOSED: the log is closed
    send to a new topic
      CLOSED: the log is closed
    sendAll
      CLOSED: the log is closed
    commit of a transaction
      CLOSED: the log is closed
    the next transaction
      CLOSED: the log is closed
    poll
      CLOSED: the log is closed
    "
  `);
});

test('[PRODUCER-11] [CONSUMER-7] a log that is closed: consumers, and what is new', async () => {
  const log = await open();
  const producer = log.producer();
  const transactions = log.producer({ transactionalId: 'import' });
  const consumer = log.consumer({ groupId: 'g' }).subscribe([orders]);
  await consumer.poll();
  const transaction = await transactions.beginTransaction();
  transaction.send(orders, { value: 'b' });
  await Promise.all([log.close(), log.close()]);
  expect(
    await outcomes({
      commit: () => consumer.commit([{ ...place, offset: 0 }]),
      'close of a consumer': () => consumer.close(),
      'close of a producer': () => producer.close(),
      'close of one with a transaction': () => transactions.close(),
      'a new producer': () => log.producer().send(orders, { value: 'a' }),
      'a new consumer': () => log.consumer({ groupId: 'g' }).subscribe([orders]).poll(),
      listTopics: () => log.admin().listTopics(),
    }),
  ).toMatchInlineSnapshot(`
    "
    commit
      CLOSED: the log is closed
    close of a consumer
      fine
    close of a producer
      fine
    close of one with a transaction
      fine
    a new producer
      CLOSED: the log is closed
    a new consumer
      CLOSED: the log is closed
    listTopics
      CLOSED: the log is closed
    "
  `);
});

test('[PRODUCER-12] [CONSUMER-10] ids that no coordinator could write down', async () => {
  const log = await open();
  const admin = log.admin();
  const [long, longest] = ['x'.repeat(32_768), 'x'.repeat(32_767)];
  const umlauts = 'ü'.repeat(16_384); // as many characters, and twice the bytes
  const consumer = log.consumer();
  await using producer = log.producer({ transactionalId: longest });
  const withOffsets = (group: GroupMetadata) =>
    producer.transaction((tx) =>
      tx.sendOffsets([{ topic: 'orders', partition: 0, offset: 1, metadata: '' }], group),
    );
  const calls: Record<string, () => unknown> = {
    transactionalId: () => log.producer({ transactionalId: long }),
    groupId: () => log.consumer({ groupId: umlauts }),
    groupInstanceId: () => log.consumer({ groupId: 'g', groupInstanceId: long }),
    clientId: () => log.consumer({ groupId: 'g', clientId: longest }),
    'groupId of sendOffsets': () => withOffsets({ groupId: long }),
    'groupInstanceId of sendOffsets': () => withOffsets({ groupId: 'g', groupInstanceId: long }),
    'groupId of alterGroupOffsets': () =>
      admin.alterGroupOffsets(long, { to: 'earliest', of: ['orders'] }),
  };
  const messages: string[] = [];
  for (const [name, call] of Object.entries(calls)) {
    const error = await Promise.resolve()
      .then(call)
      .then(String, (cause: unknown) => cause);
    expect(LogError.is(error, 'INVALID_OPTION'), name).toBe(true);
    messages.push((error as Error).message.replace(/, not .*/, ''));
  }
  const [transactionalId, groupId, , clientId] = messages;
  const limit = 'must be a string of at most 32767 bytes in UTF-8 (it has 32768)';
  expect(transactionalId).toBe(`producer: transactionalId ${limit}`);
  expect(groupId).toBe(`consumer: groupId ${limit}`);
  expect(clientId).toContain('clientId must be a string of at most 32724 bytes');
  // The longest ones work, and the log that has seen them closes.
  await using member = log.consumer({
    groupId: longest,
    groupInstanceId: longest,
    clientId: 'x'.repeat(32_724),
  });
  await member.subscribe([orders]).poll({ maxWaitMs: 100 });
  await member.commit([{ topic: 'orders', partition: 0, offset: 0 }]);
  await withOffsets({ groupId: 'another' });
  await Promise.all([member.close(), consumer.close(), producer.close()]);
  await log.close();
});
