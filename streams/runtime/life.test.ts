import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  bytes,
  int64,
  Log,
  silentLogger,
  string,
  systemClock,
  topic,
  type EmbeddedLog,
} from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import { committedRows, makeApp, openTestLog, produce, until } from '../../test/kit/app.ts';
import { sums } from '../../test/kit/drive.ts';
import { ROOT } from '../../test/kit/root.ts';
import { StreamsBuilder } from '../dsl/streams-builder.ts';
import { StreamsError } from '../errors.ts';
import type { Topology } from '../topology/topology.ts';
import { AppLife, TRANSITIONS, type StreamsState } from './app-life.ts';
import type { StreamsApp } from './app.ts';
import type { RestoreEvent } from './restore-progress.ts';

const input = topic('numbers', { key: string(), value: int64(), partitions: 2 });

/** Running sums of each key, in the store `sums`. @param seen is called with each record. */
function summing(seen: () => unknown = () => undefined): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(input)
    .peek(() => void seen())
    .groupByKey()
    .reduce((sum, value) => sum + value, { store: 'sums', emit: 'each' })
    .toStream()
    .to(sums);
  return builder.build();
}

/** A thousand ones of ten keys, in both partitions. */
function* ones(): Generator<[string, number, number, number]> {
  for (let index = 0; index < 1_000; index++) yield [`k${index % 10}`, 1, index, index % 2];
}

/** The results of so many times `ones`, in any order. */
function resultsOf(times: number): string[] {
  const rows: string[] = [];
  for (let index = 0; index < 1_000 * times; index++) {
    const timeMs = index < 1_000 ? index : 990 + (index % 10); // that of the newest of the key
    rows.push(`k${index % 10} ${Math.floor(index / 10) + 1} @${timeMs}`);
  }
  return rows.sort();
}

function statesOf(app: StreamsApp): StreamsState[] {
  const states: StreamsState[] = [];
  app.state$.subscribe((state) => states.push(state));
  return states;
}

/** How many records are committed as processed. */
async function committed(log: EmbeddedLog): Promise<number> {
  const partitions = [0, 1].map((partition) => ({ topic: input.name, partition }));
  const request = { groupId: 'app', partitions, requireStable: true };
  const { offsets } = await log.api.offsetFetch(request);
  return offsets.reduce((sum, { offset }) => sum + Math.max(0, offset), 0);
}

describe('[RT-LIFE-1] the states of an application', () => {
  test('are those that docs/SPEC.md draws', () => {
    const page = readFileSync(join(ROOT, 'docs/SPEC.md'), 'utf8');
    const drawing = /```mermaid\nstateDiagram-v2\n([^`]*)```/.exec(page)?.[1] ?? '';
    const drawn = [...drawing.matchAll(/^ +(\w+|\[\*\]) --> (\w+|\[\*\])/gm)];
    const expected = Object.entries(TRANSITIONS).flatMap(([from, all]) =>
      (all.length === 0 ? ['[*]'] : all).map((to) => `${from} --> ${to}`),
    );
    const lines = drawn.map(([, from, to]) => `${from} --> ${to}`);
    expect(lines.sort()).toEqual(['[*] --> CREATED', ...expected].sort());
  });

  test('follow each other as they are drawn, or that is a bug', () => {
    const life = new AppLife();
    expect(() => life.enter('RUNNING')).toThrow('from CREATED to RUNNING');
    for (const state of ['RESTORING', 'RUNNING', 'PENDING_SHUTDOWN', 'NOT_RUNNING'] as const) {
      expect(life.hasEnded).toBe(false);
      life.enter(state);
    }
    expect(life.hasEnded).toBe(true);
    expect(() => life.enter('ERROR')).toThrow('from NOT_RUNNING to ERROR');
  });
});

describe('[RT-LIFE-2] a paused application', () => {
  test('has committed what it processed, takes nothing more, and answers queries', async () => {
    const log = await openTestLog();
    await produce(log, input, ones());
    const app = makeApp(log, summing());
    const states = statesOf(app);
    await app.start();
    await until(() => app.metrics().processedRecords > 0);
    await app.pause();
    expect(app.state).toBe('PAUSED');
    const { processedRecords, commits } = app.metrics();
    expect(await committed(log)).toBe(processedRecords);
    expect((await committedRows(log, sums)).length).toBe(processedRecords);
    await produce(log, input, ones());
    await sleep(systemClock, 300);
    expect(app.metrics()).toMatchObject({ processedRecords, commits });
    const store = app.store('sums');
    expect(await store.get('k3')).toBeGreaterThan(0); // by a commit of its own
    expect(await store.get('none')).toBeUndefined();
    const watched: unknown[] = [];
    store.watch('k3').subscribe((value) => watched.push(value));
    await until(() => watched.length === 1);
    expect(watched).toEqual([await store.get('k3')]);
    await until(() => app.metrics().tasks.reduce((sum, { lag }) => sum + lag, 0) > 0);
    app.resume();
    await app.finish();
    expect(await committedRows(log, sums).then((rows) => rows.sort())).toEqual(resultsOf(2));
    expect(states).toEqual([
      ...['CREATED', 'RESTORING', 'RUNNING', 'PAUSED', 'RUNNING', 'NOT_RUNNING'],
    ]);
  });

  test('may be so from its start on; punctuations wait, too', async () => {
    const log = await openTestLog();
    await produce(log, input, ones());
    let [records, calls] = [0, 0];
    const builder = new StreamsBuilder();
    builder.stream(input).process((context) => {
      context.schedule(1, 'wall-clock', () => {
        calls++;
      });
      return {
        process: () => {
          records++;
        },
      };
    });
    const app = makeApp(log, builder.build());
    await app.pause();
    expect(app.state).toBe('CREATED');
    await app.start();
    await app.ready;
    expect(app.state).toBe('PAUSED');
    await sleep(systemClock, 250);
    expect([records, calls]).toEqual([0, 0]);
    const finished = app.finish();
    await sleep(systemClock, 250);
    expect(app.state).toBe('PAUSED');
    app.resume();
    await finished;
    expect(records).toBe(1_000);
    expect(calls).toBeGreaterThan(0);
  });

  test('stays so when its tasks start over', async () => {
    const log = await openTestLog();
    await produce(log, input, ones());
    let pausing: Promise<void> | undefined;
    const app = makeApp(log, summing(), {
      logger: silentLogger,
      onStep: (step) => {
        if (step !== 'commit-4-offsets' || pausing !== undefined) return;
        pausing = app.pause();
        throw new StreamsError('COMMIT_FAILED', 'planted', { applicationId: 'app', step });
      },
    });
    const states = statesOf(app);
    await app.start();
    await until(() => app.state === 'PAUSED');
    await pausing;
    await sleep(systemClock, 200);
    expect(app.metrics().processedRecords).toBe(0);
    expect(states.slice(2)).toEqual(['RUNNING', 'RETRYING', 'RESTORING', 'PAUSED']);
    app.resume();
    await app.finish();
    expect(await committedRows(log, sums).then((rows) => rows.sort())).toEqual(resultsOf(1));
  });

  test('can be closed, and goes on where it was', async () => {
    const log = await openTestLog();
    await produce(log, input, ones());
    const app = makeApp(log, summing());
    await app.start();
    await until(() => app.metrics().processedRecords > 0);
    await app.pause();
    expect(await app.close()).toBe('clean');
    expect(() => app.resume()).toThrow(/NOT_RUNNING/);
    await expect(app.pause()).rejects.toMatchObject({ code: 'INVALID_STATE' });
    const again = makeApp(log, summing());
    await again.start();
    await again.finish();
    expect(await committedRows(log, sums).then((rows) => rows.sort())).toEqual(resultsOf(1));
  });
});

describe('[RT-LIFE-3] ready', () => {
  test('resolves when the application first runs', async () => {
    const app = makeApp(await openTestLog(), summing());
    let isReady = false;
    const ready = app.ready.then(() => (isReady = true));
    await sleep(systemClock, 20);
    expect(isReady).toBe(false);
    await app.start();
    await ready;
    expect(app.state).toBe('RUNNING');
  });

  test('rejects with the error of the start', async () => {
    const log = await openTestLog();
    const first = makeApp(log, summing());
    await first.start();
    const second = makeApp(log, summing());
    const failure = second.start().catch((error: unknown) => error);
    await expect(second.ready).rejects.toMatchObject({ code: 'APPLICATION_RUNNING' });
    expect(await failure).toBe(await second.ready.catch((error: unknown) => error));
  });

  test('rejects if the application is closed before; unread, it disturbs nobody', async () => {
    const app = makeApp(await openTestLog(), summing());
    await app.close();
    await sleep(systemClock, 1);
    await expect(app.ready).rejects.toMatchObject({ code: 'INVALID_STATE' });
  });
});

/** Big rows: a restore fetches each partition several times. */
const rows = topic('rows', { key: string(), value: bytes(), partitions: 2 });

function keeping(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(rows)
    .groupByKey()
    .reduce((_, value) => value, { store: 'kept' });
  return builder.build();
}

async function produceRows(log: Log): Promise<void> {
  const value = Buffer.alloc(300_000, 7);
  const all = [0, 0, ...Array<number>(40).fill(1)];
  await produce(
    log,
    rows,
    all.map((partition, index) => [`k${index}`, value, index, partition] as const),
  );
}

describe('[RT-LIFE-4] restore$', () => {
  test('tells how far each store is; nothing if there is nothing to read', async () => {
    const log = await openTestLog();
    await produce(log, input, ones());
    const first = makeApp(log, summing());
    await first.start();
    await first.finish();
    expect(await first.close({ removeState: true })).toBe('clean');
    for (const [events, records] of [
      [['start 0_0', 'start 0_1', 'end 0_0', 'end 0_1'], 1_000],
      [[], 0],
    ] as const) {
      const app = makeApp(log, summing());
      const seen: RestoreEvent[] = [];
      let isComplete = false;
      app.restore$.subscribe({
        next: (each) => seen.push(each),
        complete: () => (isComplete = true),
      });
      await app.start();
      expect(seen.map(({ kind, taskId }) => `${kind} ${taskId}`).sort()).toEqual(
        [...events].sort(),
      );
      for (const event of seen) {
        const changelog = { store: 'sums', topic: 'app-sums-changelog' };
        expect(event).toMatchObject({ ...changelog, partition: Number(event.taskId.slice(2)) });
        if (event.kind !== 'end') continue;
        expect(event).toMatchObject({ restored: event.total, etaMs: 0 });
        expect(event.recordsPerSecond).toBeGreaterThan(0);
      }
      expect(app.metrics().restoredRecords).toBe(
        seen.reduce((sum, { kind, total }) => sum + (kind === 'end' ? total : 0), 0),
      );
      expect(app.metrics().restoredRecords > 0).toBe(records > 0);
      expect(isComplete).toBe(false);
      await app.close();
      expect(isComplete).toBe(true);
    }
  });

  test('a restore that is interrupted keeps what it has read', async () => {
    const log = await openTestLog();
    await produceRows(log);
    const first = makeApp(log, keeping());
    await first.start();
    await first.finish();
    await first.cleanUp();
    const second = makeApp(log, keeping(), { logger: silentLogger });
    const seen: string[] = [];
    second.restore$.subscribe(({ kind, taskId }) => {
      if (kind !== 'progress') seen.push(`${kind} ${taskId}`);
      if (kind === 'end') void second.close();
    });
    await expect(second.start()).rejects.toMatchObject({ code: 'INVALID_STATE' });
    expect(second.state).toBe('NOT_RUNNING');
    expect(seen.slice(2)).toEqual(['end 0_0', 'suspended 0_1']);
    const third = makeApp(log, keeping());
    const restored: string[] = [];
    third.restore$.subscribe(({ kind, taskId }) => {
      if (kind !== 'progress') restored.push(`${kind} ${taskId}`);
    });
    await third.start();
    expect(restored).toEqual(['start 0_1', 'end 0_1']);
    for (const key of ['k0', 'k41'])
      expect(await third.store('kept').get(key)).toHaveLength(300_000);
  });
});

/** A log whose broker answers no write of a transaction until `open` is called. */
function gated(log: EmbeddedLog): { readonly log: Log; readonly close: () => () => void } {
  let gate = Promise.resolve();
  const api = new Proxy(log.api, {
    get(target, name) {
      const method = Reflect.get(target, name) as (request: unknown) => Promise<unknown>;
      if (name !== 'produce') return method.bind(target);
      return async (request: { readonly transactionalId?: string }) => {
        if (request.transactionalId !== undefined) await gate;
        return method.call(target, request);
      };
    },
  });
  const close = (): (() => void) => {
    let open = (): void => undefined;
    gate = new Promise((resolve) => (open = resolve));
    return open;
  };
  return { log: new Log(api, { logger: silentLogger }), close };
}

describe('[RT-LIFE-5] close with a deadline', () => {
  test('is clean if that suffices, also a second time', async () => {
    const log = await openTestLog();
    await produce(log, input, ones());
    const app = makeApp(log, summing());
    await app.start();
    expect(await app.close({ timeoutMs: 5_000 })).toBe('clean');
    expect(await app.close({ timeoutMs: 0 })).toBe('clean');
    expect(await makeApp(log, summing()).close()).toBe('clean'); // never started
  });

  test('aborts what it cannot commit in time, and the next start does that', async () => {
    const embedded = await openTestLog();
    const { log, close } = gated(embedded);
    const stateDir = join(embedded.directory, 'state');
    await produce(log, input, ones());
    const open = close();
    onTestFinished(open);
    let seen = 0;
    const app = makeApp(
      log,
      summing(() => seen++),
      { stateDir, logger: silentLogger },
    );
    await app.start();
    await until(() => seen > 0);
    const closed = app.close({ timeoutMs: 50 });
    await sleep(systemClock, 200);
    open();
    expect(await closed).toBe('aborted');
    expect(app.state).toBe('NOT_RUNNING');
    expect(await app.close()).toBe('aborted');
    expect(await committed(embedded)).toBe(0);
    expect(await committedRows(embedded, sums)).toEqual([]);
    const again = makeApp(log, summing(), { stateDir });
    await again.start();
    await again.finish();
    const results = await committedRows(embedded, sums);
    expect(results.sort()).toEqual(resultsOf(1));
  });

  test('tells when something does not answer; the application ends all the same', async () => {
    const embedded = await openTestLog();
    const { log, close } = gated(embedded);
    const stateDir = join(embedded.directory, 'state');
    await produce(log, input, ones());
    const open = close();
    onTestFinished(open);
    let seen = 0;
    const app = makeApp(
      log,
      summing(() => seen++),
      { stateDir, logger: silentLogger },
    );
    await app.start();
    await until(() => seen > 0);
    const startMs = systemClock.monotonicMs();
    expect(await app.close({ timeoutMs: 10, removeState: true })).toBe('unfinished');
    expect(systemClock.monotonicMs() - startMs).toBeLessThan(5_000);
    expect(app.state).toBe('PENDING_SHUTDOWN');
    expect(existsSync(join(stateDir, '0_0'))).toBe(true);
    await expect(app.cleanUp()).rejects.toMatchObject({ code: 'INVALID_STATE' });
    open();
    await until(() => app.state === 'NOT_RUNNING');
    expect(await committedRows(embedded, sums)).toEqual([]);
  });

  test('refuses what is no deadline', async () => {
    const app = makeApp(await openTestLog(), summing());
    await expect(app.close({ timeoutMs: -1 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    // @ts-expect-error the name is wrong
    await expect(app.close({ timeout: 1 })).rejects.toMatchObject({ code: 'UNKNOWN_OPTION' });
    expect(app.state).toBe('CREATED');
  });
});

describe('[RT-LIFE-6] cleanUp', () => {
  test('removes the state of the tasks alone; the next start reads it back', async () => {
    const log = await openTestLog();
    await produce(log, input, ones());
    const app = makeApp(log, summing());
    await app.start();
    await app.finish();
    const directory = join(log.directory, 'streams', 'app');
    writeFileSync(join(directory, 'other'), 'mine');
    const kept = ['last-run.json', 'other']; // which topology ran is no state of a task
    expect(readdirSync(directory).sort()).toEqual(['0_0', '0_1', ...kept]);
    await app.cleanUp();
    expect(readdirSync(directory).sort()).toEqual(kept);
    await app.cleanUp();
    const again = makeApp(log, summing());
    await again.start();
    expect(await again.store('sums').get('k3')).toBe(100);
  });

  test('is refused while the application, or another one of its id, runs', async () => {
    const log = await openTestLog();
    const app = makeApp(log, summing());
    const other = makeApp(log, summing());
    await other.cleanUp(); // there is nothing
    await app.start();
    await expect(app.cleanUp()).rejects.toMatchObject({
      code: 'INVALID_STATE',
      details: { operation: 'cleanUp', state: 'RUNNING' },
    });
    await expect(other.cleanUp()).rejects.toMatchObject({ code: 'APPLICATION_RUNNING' });
    expect(existsSync(join(log.directory, 'streams', 'app', '0_0'))).toBe(true);
  });
});
