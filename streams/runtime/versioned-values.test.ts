import { expect, test } from 'vitest';
import { json, string, topic, versioned, type Log, type Serde } from '../../core/index.ts';
import { makeApp, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import type { Topology } from '../topology/topology.ts';

interface Old {
  readonly cents: number;
}
interface Order extends Old {
  readonly currency: string;
}

const bare = json<Old>();
const newer = versioned(0, bare).upgrade(1, json<Order>(), (old) => ({ ...old, currency: 'EUR' }));

/** The newest order of each customer, behind a repartition topic, in a store with a changelog. */
function topology<V extends Old>(serde: Serde<V>): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(topic('orders', { key: string(), value: serde }))
    .groupBy(({ key }) => `of ${key}`, { key: string() })
    .reduce((known, order) => ({ ...order, cents: known.cents + order.cents }), { store: 'newest' })
    .toStream()
    .to(topic('out', { key: string(), value: serde }));
  return builder.build();
}

const orders = topic('orders', { key: string(), value: bare });

/** The currency and the cents of each result. */
async function results(log: Log): Promise<string[]> {
  const out = topic('out', { key: string(), value: newer });
  const records = await readTopic(log, out, 'read_committed');
  return records.map(({ key, value }) => `${key}: ${value?.cents} ${value?.currency}`);
}

/** What the changelog holds, as text. */
async function changelog(log: Log): Promise<string[]> {
  const raw = { key: string(), value: string() };
  const records = await readTopic(log, topic('app-newest-changelog', raw), 'read_committed');
  return records.map(({ value }) => (value ?? '').slice(8)); // behind the time
}

test.each([
  ['a checkpoint', true],
  ['a changelog', false],
])(
  '[EVO-3] values in %s are upgraded when read, and written new when changed',
  async (_, keeps) => {
    const log = await openTestLog();
    const first = temporaryDirectory();
    await produce(log, orders, [
      ['a', { cents: 1 }, 1],
      ['b', { cents: 2 }, 2],
    ]);
    await runToEnd(log, topology(bare), { stateDir: first });
    const before = await changelog(log);
    expect(before).toEqual(['{"cents":1}', '{"cents":2}']);

    const stateDir = keeps ? first : temporaryDirectory();
    const app = makeApp(log, topology(newer), { stateDir });
    await app.start();
    const store = app.store('newest');
    expect(await store.get('of a')).toEqual({ cents: 1, currency: 'EUR' });
    await produce(log, orders, [['a', { cents: 10 }, 3]]);
    await app.finish();
    expect(await results(log)).toEqual(['of a: 1 EUR', 'of b: 2 EUR', 'of a: 11 EUR']);
    const [changed, ...others] = (await changelog(log)).slice(before.length);
    expect(others).toEqual([]);
    expect(changed).toContain('{"cents":11,"currency":"EUR"}'); // b keeps its bytes

    const last = makeApp(log, topology(newer), { stateDir });
    await last.start();
    expect(await last.store('newest').get('of a')).toEqual({ cents: 11, currency: 'EUR' });
    expect(await last.store('newest').get('of b')).toEqual({ cents: 2, currency: 'EUR' });
    await last.close();
  },
);

test('[EVO-3] values that wait in a repartition topic are upgraded, too', async () => {
  const log = await openTestLog();
  const stateDir = temporaryDirectory();
  await produce(log, orders, [['a', { cents: 1 }, 1]]);
  await runToEnd(log, topology(bare), { stateDir });
  await produce(log, topic('app-newest-repartition', { key: string(), value: bare }), [
    ['of a', { cents: 5 }, 2],
  ]);
  await runToEnd(log, topology(newer), { stateDir });
  expect(await results(log)).toEqual(['of a: 1 EUR', 'of a: 6 EUR']);
});

test('[EVO-3] a store with values of a newer version does not start', async () => {
  const log = await openTestLog();
  const options = { stateDir: temporaryDirectory() };
  const one = versioned(1, bare);
  const two = one.upgrade(2, json<Order>(), (old) => ({ ...old, currency: 'EUR' }));
  await produce(log, topic('orders', { key: string(), value: one }), [['a', { cents: 1 }, 1]]);
  await runToEnd(log, topology(two), options);
  const refused = makeApp(log, topology(one), options);
  await expect(refused.start()).rejects.toMatchObject({ code: 'STATE_MISMATCH' });
  await log.admin().deleteTopics(['app-topology']); // nothing tells what ran last
  const old = makeApp(log, topology(one), { stateDir: temporaryDirectory() });
  await expect(old.start()).rejects.toMatchObject({
    code: 'DESERIALIZATION_FAILED',
    cause: { code: 'UNKNOWN_VALUE_VERSION', details: { version: 2, newest: 1 } },
  });
});
