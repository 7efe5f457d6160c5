import { describe, expect, expectTypeOf, test } from 'vitest';
import { int64, json, string, topic } from '../../core/index.ts';
import { committedRows, openTestLog, produce, runToEnd } from '../../test/kit/app.ts';
import { numbers } from '../../test/kit/drive.ts';
import {
  crashInput,
  crashOutput,
  sameAfterCrashes,
  WAYS_TO_STOP,
} from '../../test/kit/same-after-crashes.ts';
import { SEED } from '../../test/kit/seed.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { KStream } from '../dsl/kstream.ts';
import {
  keyValueStore,
  recordStore,
  sessionStore,
  versionedStore,
  windowStore,
  type OwnStore,
  type OwnStoreOptions,
} from '../dsl/stores.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { TopologyTestDriver } from '../testing/topology-test-driver.ts';
import { sessionWindow } from '../topology/windows.ts';

const serdes = { key: string(), value: int64() };
const others = topic('others', { key: string(), value: int64() });
const answers = topic('answers', { key: string(), value: string() });

const WHILE = { startMs: 0, endMs: 0 };

/**
 * Puts each value into a store of each kind, and forwards what they then have of its key. Every
 * 13th value is late by 80 ms: its place in the stores has expired.
 */
function reading(
  builder: StreamsBuilder,
  stream: KStream<string | null, number>,
  options: Partial<OwnStoreOptions<string, number>> = {},
): KStream<string, string> {
  const retained = { ...serdes, ...options, retentionMs: 50 };
  const ofSessions = builder.addStore(sessionStore('sessions', retained));
  const ofRecords = builder.addStore(recordStore('records', { ...retained, retentionMs: 2_000 }));
  const ofWindows = builder.addStore(windowStore('windows', retained));
  const ofVersions = builder.addStore(
    versionedStore('versions', { ...serdes, ...options, historyMs: 60 }),
  );
  return stream.process<string, string>(
    (context) => {
      const sessions = context.store(ofSessions);
      const records = context.store(ofRecords);
      const windows = context.store(ofWindows);
      const versions = context.store(ofVersions);
      return {
        process: ({ key: given, value, timestampMs: nowMs }) => {
          const key = given ?? '';
          const timeMs = value % 13 === 0 ? Math.max(0, nowMs - 80) : nowMs;
          sessions.put(key, { startMs: timeMs, endMs: timeMs + (value % 5) }, value, nowMs);
          records.put(key, value, timeMs);
          windows.put(key, timeMs - (timeMs % 10), value, nowMs);
          versions.put(key, value % 11 === 0 ? null : value, timeMs);
          const [session] = sessions.fetch(key, { earliestEndMs: nowMs - 30 });
          if (value % 7 === 3 && session !== undefined) sessions.delete(key, session);
          const sum = (rows: Iterable<{ readonly value: number | undefined }>): string => {
            let [total, count] = [0, 0];
            for (const row of rows) [total, count] = [total + (row.value ?? 0), count + 1];
            return `${count}:${total}`;
          };
          const found = [
            sum(sessions.fetchAll()),
            sum(records.fetch(key, nowMs - 100, nowMs)),
            sum(windows.all()),
            sum(versions.history(key)),
            sum(versions.range(undefined, undefined, nowMs - 20)),
          ];
          context.forward({ key, value: found.join(' ') });
        },
      };
    },
    {
      ...{ name: 'own', key: string(), value: string() },
      stores: [ofSessions, ofRecords, ofWindows, ofVersions],
    },
  );
}

describe('[STATE-23] stores of sessions, records and versions', () => {
  const ways: readonly (readonly [string, Partial<OwnStoreOptions<string, number>>])[] = [
    ['on disk', {}],
    ['in memory', { persistent: false }],
    ['without a changelog', { changelog: false }],
  ];
  test.each(ways)('are there again after a restart: %s', async (_, options) => {
    const rows = Array.from({ length: 120 }, (__, index) => {
      return [`k${index % 3}`, index, index * 4] as const;
    });
    const topology = () => {
      const builder = new StreamsBuilder();
      reading(builder, builder.stream(numbers), options).to(answers);
      return builder.build();
    };
    const run = async (parts: number) => {
      const log = await openTestLog();
      const stateDir = temporaryDirectory();
      for (let part = 0; part < parts; part++) {
        const from = (rows.length / parts) * part;
        await produce(log, numbers, rows.slice(from, from + rows.length / parts));
        await runToEnd(log, topology(), { stateDir });
      }
      return committedRows(log, answers);
    };
    const expected = await run(1);
    expect(expected).toHaveLength(120);
    expect(await run(4)).toEqual(expected);
  });

  test('what is put although it has expired is gone with its record', () => {
    const builder = new StreamsBuilder();
    const seen = builder.addStore(windowStore('seen', { ...serdes, retentionMs: 10 }));
    const sizes: number[] = [];
    builder.stream(numbers).process(
      (context) => {
        const store = context.store(seen);
        return {
          process: ({ value, timestampMs }) => {
            store.put('a', value, value, timestampMs);
            sizes.push([...store.all()].length);
          },
        };
      },
      { stores: [seen] },
    );
    const driver = new TopologyTestDriver(builder.build());
    const pipe = (value: number) =>
      driver.inputTopic(numbers).pipe({ key: 'a', value, timestampMs: 100 });
    for (const value of [95, 50, 96]) pipe(value);
    expect(sizes).toEqual([1, 2, 2]);
    expect(driver.store(windowStore('seen')).windowStarts()).toEqual([95, 96]);
  });

  test('so is what another processor puts, by the time of the first one', () => {
    const builder = new StreamsBuilder();
    const seen = builder.addStore(windowStore('seen', { ...serdes, retentionMs: 10 }));
    const options = { stores: [seen] };
    builder.stream(numbers).process(() => ({ process: () => undefined }), options);
    builder.stream(others).process((context) => {
      const store = context.store(seen);
      return {
        process: ({ value, timestampMs }) => store.put('a', value, value, timestampMs),
      };
    }, options);
    const driver = new TopologyTestDriver(builder.build());
    const windowsAfter = (value: number, timestampMs: number) => {
      driver.inputTopic(others).pipe({ key: 'a', value, timestampMs });
      return driver.store(windowStore('seen')).windowStarts();
    };
    driver.inputTopic(numbers).pipe({ key: 'a', value: 0, timestampMs: 100 });
    expect(windowsAfter(95, 1_000)).toEqual([95]); // its own time does not count
    expect(windowsAfter(50, 1_000)).toEqual([95]);
    expect(windowsAfter(91, 1_000)).toEqual([91, 95]);
  });

  test('are read by the test driver with their times, as are those of tables', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream(numbers);
    stream
      .groupByKey()
      .windowedBy(sessionWindow({ gapMs: 5 }))
      .count({ store: 'counts' });
    stream.toTable({ store: 'rows', versioned: { historyMs: 100 } });
    reading(builder, stream).to(answers);
    const driver = new TopologyTestDriver(builder.build());
    driver.inputTopic(numbers).pipeAll([
      { key: 'a', value: 1, timestampMs: 4 },
      { key: 'a', value: 2, timestampMs: 8 },
    ]);
    expect([...driver.store(sessionStore<string, number>('counts')).fetch('a')]).toEqual([
      { key: 'a', startMs: 4, endMs: 8, value: 2, timestampMs: 8 },
    ]);
    expect([...driver.store(sessionStore<string, number>('sessions')).fetchAll()]).toMatchObject([
      { startMs: 4, endMs: 5, value: 1 },
      { startMs: 8, endMs: 10, value: 2 },
    ]);
    expect([...driver.store(recordStore<string, number>('records')).all()]).toEqual([
      { key: 'a', value: 1, timestampMs: 4 },
      { key: 'a', value: 2, timestampMs: 8 },
    ]);
    const rows = driver.store(versionedStore<string, number>('rows'));
    expect([...rows.history('a')]).toEqual([
      { value: 1, timestampMs: 4, validToMs: 8 },
      { value: 2, timestampMs: 8, validToMs: Infinity },
    ]);
    expect(rows.get('a', 7)).toBe(1);
    expect(() => driver.store(recordStore('counts'))).toThrow(
      'store counts is a session store, and not a record store',
    );
  });

  test('describe() has their kinds, changelogs and retention', () => {
    const builder = new StreamsBuilder();
    reading(builder, builder.stream(numbers)).to(answers);
    const { subTopologies } = builder.build().describe();
    const stores = subTopologies.flatMap((each) => each.stores);
    const byName = Object.fromEntries(stores.map((store) => [store.name, store]));
    expect(byName['sessions']).toMatchObject({ kind: 'session', topic: 'sessions-changelog' });
    expect(byName['records']).toMatchObject({ kind: 'record', retentionMs: 2_000 });
    expect(byName['versions']).toMatchObject({ kind: 'versioned' });
  });

  test('what their options cannot be is refused', () => {
    const own = { ...serdes, retentionMs: 5 };
    expect(() => sessionStore('s', serdes as never)).toThrow(/retentionMs/);
    expect(() => sessionStore('s', { ...own, retentionMs: -1 })).toThrow(/retentionMs/);
    expect(() => recordStore('s', { ...own, history: 1 } as never)).toThrow(/history/);
    expect(() => versionedStore('s', { ...serdes, historyMs: 0.5 })).toThrow(/historyMs/);
    expect(() => versionedStore(7 as never)).toThrow(/name/);
  });

  test.each([
    ['key-value', keyValueStore('own', serdes), ['a', 1]],
    ['window', windowStore('own', { ...serdes, retentionMs: 5 }), ['a', 0, 1]],
    ['session', sessionStore('own', { ...serdes, retentionMs: 5 }), ['a', WHILE, 1]],
    ['versioned', versionedStore('own', { ...serdes, historyMs: 5 }), ['a', 1]],
    ['record', recordStore('own', { ...serdes, retentionMs: 5 }), ['a', 1]],
  ] as const)('[OP-PROCESS-9] refuse a put without a time: %s', (_, given, args) => {
    const builder = new StreamsBuilder();
    const spec: OwnStore<string, number, unknown> = given;
    const own = builder.addStore(spec);
    let timeMs: unknown;
    builder.stream(numbers, { nullKeys: 'fail' }).process(
      (context) => {
        const store = context.store<{ put(...values: unknown[]): void }>(own as never);
        return { process: () => store.put(...args, timeMs) };
      },
      { stores: [own as never], name: 'keeper' },
    );
    const driver = new TopologyTestDriver(builder.build());
    const pipe = () => driver.inputTopic(numbers).pipe({ key: 'a', value: 1, timestampMs: 0 });
    for (timeMs of [undefined, 0.5, NaN]) {
      expect(pipe).toThrow(/keeper failed on numbers-0 at offset .*timestampMs must be an integer/);
    }
  });

  test('are typed by their handles', () => {
    const builder = new StreamsBuilder();
    const sessions = builder.addStore(sessionStore('s', { ...serdes, retentionMs: 5 }));
    const versions = builder.addStore(versionedStore('v', { ...serdes, historyMs: 5 }));
    const kept = builder.addStore(recordStore('r', { ...serdes, retentionMs: 5 }));
    builder.stream(numbers).process(
      (context) => {
        const session = context.store(sessions).get('a', { startMs: 1, endMs: 2 });
        expectTypeOf(session?.value).toEqualTypeOf<number | undefined>();
        // @ts-expect-error its keys are strings
        const read = () => context.store(sessions).fetch(7);
        expectTypeOf(read).toBeFunction();
        // @ts-expect-error its values are numbers
        const putText = () => context.store(kept).put('a', 'text', 1);
        // @ts-expect-error it is no key-value store
        expectTypeOf(context.store(versions).update).toBeFunction();
        expectTypeOf(putText).toBeFunction();
        return { process: () => undefined };
      },
      { stores: [sessions, versions, kept] },
    );
    // @ts-expect-error a value of another type
    builder.addStore<string, string, object>(recordStore('x', { ...serdes, retentionMs: 5 }));
    // @ts-expect-error an option of another store
    const wrong = () => keyValueStore('y', { ...serdes, retentionMs: 5 });
    expect(wrong).toThrow(/retentionMs/);
    expectTypeOf(json).toBeFunction();
  });
});

describe.each(WAYS_TO_STOP)('[STATE-23] after %s at any time', (_, stop) => {
  test(`stores have the same, seed ${SEED}`, async () => {
    const topology = () => {
      const builder = new StreamsBuilder();
      const third = builder.stream(crashInput).filter(({ value }) => value % 3 === 0);
      reading(builder, third).to(crashOutput);
      return builder.build();
    };
    await sameAfterCrashes(topology, stop, { every: 13 });
  }, 60_000);
});
