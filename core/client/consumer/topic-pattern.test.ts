import { expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import type { Consumer } from './consumer.ts';
import type { ConsumerRecord } from './consumer-record.ts';
import type { ConsumerOptions } from './consumer-options.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { cooperativeStickyAssignor } from '../group/sticky-assignor.ts';
import { topic, topicPattern } from '../topic.ts';

const serdes = { key: string(), value: string() };
const flights = topicPattern(/^flights-/, serdes);
const of = (name: string, partitions = 1) => topic(name, { ...serdes, partitions });

const QUICK = { fetchMaxWaitMs: 20, metadataMaxAgeMs: 10, heartbeatIntervalMs: 15 } as const;

const open = () => openLog(temporaryDirectory(), { logger: silentLogger });

const send = (log: Log, name: string, value: string) => log.producer().send(of(name), { value });

/** Polls until so many records have come; returns their topics and values, sorted. */
async function read(
  consumers: readonly Consumer<ConsumerRecord<string, string>>[],
  count: number,
): Promise<string[]> {
  const found: string[] = [];
  await expect
    .poll(async () => {
      for (const consumer of consumers) {
        for (const { topic: from, value } of await consumer.poll({ maxWaitMs: 20 })) {
          found.push(`${from} ${value ?? 'null'}`);
        }
      }
      return found.length;
    })
    .toBeGreaterThanOrEqual(count);
  return found.sort();
}

/** Polls until the consumers read these topics, each one of them somewhere. */
async function reading(consumers: readonly Consumer[], topics: readonly string[]): Promise<void> {
  await expect
    .poll(async () => {
      await Promise.all(consumers.map((consumer) => consumer.poll({ maxWaitMs: 20 })));
      return consumers.flatMap(({ assignment }) => assignment.map((place) => place.topic)).sort();
    })
    .toEqual(topics);
}

/** Without a group, and in one, eagerly and not. */
const WAYS: readonly [string, ConsumerOptions][] = [
  ['without a group', {}],
  ['in a group', { groupId: 'g' }],
  [
    'in a cooperative group',
    { groupId: 'g', partitionAssignmentStrategy: [cooperativeStickyAssignor] },
  ],
];

test.each(WAYS)('[CONSUMER-17] what matches is read, now and later: %s', async (_, options) => {
  await using log = await open();
  await send(log, 'flights-a', '1');
  await send(log, 'trains-a', '2');
  await using consumer = log.consumer({ ...QUICK, ...options }).subscribe(flights);
  expect(await read([consumer], 1)).toEqual(['flights-a 1']);
  await send(log, 'flights-b', '3');
  await send(log, 'trains-b', '4');
  expect(await read([consumer], 1)).toEqual(['flights-b 3']);
  expect(consumer.subscription).toEqual(['flights-a', 'flights-b']);
});

test.each(WAYS)('[CONSUMER-17] a topic that is deleted goes silently: %s', async (_, options) => {
  await using log = await open();
  await send(log, 'flights-a', '1');
  await send(log, 'flights-b', '2');
  const events: string[] = [];
  const note = (name: string) => (places: readonly { readonly topic: string }[]) => {
    if (places.length > 0) events.push(`${name} ${places.map((place) => place.topic).join()}`);
  };
  const callbacks = { onLost: note('onLost') };
  await using consumer = log
    .consumer({ ...QUICK, ...options, autoCommitIntervalMs: 0 })
    .subscribe(flights, callbacks);
  expect(await read([consumer], 2)).toEqual(['flights-a 1', 'flights-b 2']);
  await log.admin().deleteTopics(['flights-a']);
  await reading([consumer], ['flights-b']);
  expect(consumer.subscription).toEqual(['flights-b']);
  if (options.groupId !== undefined) expect(events).toEqual(['onLost flights-a']);
  await send(log, 'flights-b', '3');
  expect(await read([consumer], 1)).toEqual(['flights-b 3']);
  expect(await log.admin().listTopics()).not.toContain('flights-a'); // nobody made it again
});

test('[CONSUMER-17] members of a group share what matches', async () => {
  await using log = await open();
  await log.admin().ensureTopic(of('flights-a', 2));
  const options = { ...QUICK, groupId: 'g' };
  await using first = log.consumer(options).subscribe(flights);
  await using second = log.consumer(options).subscribe(flights);
  await reading([first, second], ['flights-a', 'flights-a']);
  await log.admin().ensureTopic(of('flights-b', 2));
  await reading([first, second], ['flights-a', 'flights-a', 'flights-b', 'flights-b']);
  expect([first.assignment.length, second.assignment.length]).toEqual([2, 2]);
});

test('[CONSUMER-17] internal topics match nothing, and of nothing nothing is read', async () => {
  await using log = await open();
  await send(log, 'flights-a', '1');
  await using member = log.consumer({ ...QUICK, groupId: 'g' }).subscribe([of('flights-a')]);
  expect(await read([member], 1)).toHaveLength(1);
  await member.commit();
  await using none = log.consumer(QUICK).subscribe(topicPattern(/^__/, serdes));
  expect(await none.poll({ maxWaitMs: 50 })).toEqual([]);
  expect(none.subscription).toEqual([]);
});

test('[CONSUMER-17] topics and a pattern replace each other', async () => {
  await using log = await open();
  await send(log, 'flights-a', '1');
  await send(log, 'trains-a', '2');
  await using consumer = log.consumer({ ...QUICK, groupId: 'g' });
  expect(await read([consumer.subscribe(flights)], 1)).toEqual(['flights-a 1']);
  expect(await read([consumer.subscribe([of('trains-a')])], 1)).toEqual(['trains-a 2']);
  consumer.subscribe(flights);
  await reading([consumer], ['flights-a']);
});

test('[CONSUMER-17] an iteration goes on with what matches later, whatever the flags', async () => {
  await using log = await open();
  const pattern = topicPattern(/FLIGHTS/giy, serdes);
  expect([pattern.pattern.test('flights-a'), pattern.pattern.test('flights-a')]).toEqual([
    true,
    true,
  ]);
  await send(log, 'flights-a', '1');
  await using consumer = log.consumer(QUICK).subscribe(pattern);
  const values: (string | null)[] = [];
  for await (const { value } of consumer) {
    values.push(value);
    if (values.length === 1) await send(log, 'flights-b', '2');
    if (values.length === 2) break;
  }
  expect(values).toEqual(['1', '2']);
});

test('[CONSUMER-17] what is no pattern is refused', async () => {
  const make = (pattern: unknown, options: unknown = serdes) =>
    codeOf((async () => topicPattern(pattern as RegExp, options as typeof serdes))());
  expect(await make('^flights')).toBe('INVALID_OPTION');
  expect(await make(/x/, { key: string() })).toBe('INVALID_OPTION');
  expect(await make(/x/, { ...serdes, partitions: 3 })).toBe('UNKNOWN_OPTION');
});
