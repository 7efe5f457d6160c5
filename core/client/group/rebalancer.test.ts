import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { tap } from '../../../test/kit/tap.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import type { TopicPartition } from '../../protocol/broker-api.ts';
import { LogError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { roundRobinAssignor } from './assignors.ts';
import { Consumer } from '../consumer/consumer.ts';
import type { ConsumerOptions } from '../consumer/consumer-options.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import type { Rebalance, RebalanceCallbacks } from './rebalancer.ts';
import { cooperativeStickyAssignor, stickyAssignor } from './sticky-assignor.ts';
import { topic, type AnyTopic } from '../topic.ts';

const spread = topic('spread', { key: string(), value: string(), partitions: 4 });

/** Quick enough to see rebalances within a test. */
const QUICK = { groupId: 'g', heartbeatIntervalMs: 15, fetchMaxWaitMs: 20 } as const;
const COOPERATIVE = { partitionAssignmentStrategy: [cooperativeStickyAssignor] } as const;

const open = () => openLog(temporaryDirectory(), { logger: silentLogger });
const sleepMs = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const numbersOf = (places: readonly TopicPartition[]) =>
  places.map(({ partition }) => partition).sort();

/** Polls until the consumer has so many partitions. */
async function seated(consumer: Consumer, count: number): Promise<void> {
  await expect
    .poll(async () => {
      await consumer.poll({ maxWaitMs: 20 });
      return consumer.assignment.length;
    })
    .toBe(count);
}

/** Sends `count` records to each partition: `partition:number`. */
async function send(log: Log, count: number, from = 0): Promise<void> {
  const values = Array.from({ length: count }, (_, index) => from + index);
  const records = [0, 1, 2, 3].flatMap((partition) =>
    values.map((value) => ({ value: `${partition}:${value}`, partition })),
  );
  await log.producer().sendAll(spread, records);
}

/** A consumer that polls in the background and notes what happens to it. */
class Worker {
  readonly consumer: Consumer;
  readonly values: string[] = [];
  readonly events: string[] = [];
  readonly errors: unknown[] = [];
  readonly rebalances: Rebalance[] = [];
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(log: Log, options: ConsumerOptions = {}, callbacks: RebalanceCallbacks = {}) {
    const note =
      (name: keyof RebalanceCallbacks) =>
      async (partitions: readonly TopicPartition[]): Promise<void> => {
        this.events.push(`${name} ${numbersOf(partitions).join('')}`.trim());
        await callbacks[name]?.(partitions);
      };
    this.consumer = log.consumer({ ...QUICK, ...options }).subscribe([spread], {
      onAssigned: note('onAssigned'),
      onRevoked: note('onRevoked'),
      onLost: note('onLost'),
    });
    this.consumer.rebalances$.subscribe((rebalance) => this.rebalances.push(rebalance));
    this.start();
  }

  get partitions(): number[] {
    return numbersOf(this.consumer.assignment);
  }

  start(): void {
    this.#isStopped = false;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async close(): Promise<void> {
    await this.stop();
    await this.consumer.close();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      try {
        const records = await this.consumer.poll({ maxWaitMs: 20 });
        for (const { value } of records) this.values.push(String(value));
      } catch (error) {
        this.errors.push(error);
        if (this.errors.length === 10) throw error;
      }
    }
  }
}

const closeAll = (workers: readonly Worker[]) =>
  Promise.all(workers.map((worker) => worker.close()));

const countsOf = (workers: readonly Worker[]) =>
  workers.map(({ partitions }) => partitions.length).sort((x, y) => y - x);

describe('callbacks', () => {
  test('[GROUP-19] eager: all is revoked before, and the seat assigned after', async () => {
    await using log = await open();
    const first = new Worker(log);
    await expect.poll(() => first.events).toEqual(['onAssigned 0123']);
    const second = new Worker(log);
    await expect.poll(() => countsOf([first, second])).toEqual([2, 2]);
    expect(first.events[1]).toBe('onRevoked 0123');
    expect(first.events[2]).toBe(`onAssigned ${first.partitions.join('')}`);
    expect(second.events).toEqual([`onAssigned ${second.partitions.join('')}`]);
    await second.close();
    expect(second.events.at(-1)).toMatch(/^onRevoked ..$/);
    await first.close();
    expect([first.errors, second.errors]).toEqual([[], []]);
  });

  test('[GROUP-19] onRevoked may commit, and is waited for', async () => {
    await using log = await open();
    await send(log, 5);
    let isCommitted = false;
    const first: Worker = new Worker(
      log,
      { enableAutoCommit: false },
      {
        onRevoked: async () => {
          await sleepMs(30);
          await first.consumer.commit();
          isCommitted = true;
        },
      },
    );
    await expect.poll(() => first.values.length).toBe(20);
    const second = new Worker(log, { enableAutoCommit: false });
    await expect.poll(() => countsOf([first, second])).toEqual([2, 2]);
    expect(isCommitted).toBe(true);
    await send(log, 1, 5);
    await expect.poll(() => first.values.length + second.values.length).toBe(24);
    await closeAll([first, second]);
    expect(first.errors).toEqual([]);
  });

  test('[GROUP-19] what was revoked begins again where it was committed', async () => {
    await using log = await open();
    await send(log, 1);
    const options = { enableAutoCommit: false };
    const first = new Worker(log, options);
    await expect.poll(() => first.values.length).toBe(4);
    const second = new Worker(log, options);
    await expect.poll(() => [...first.values, ...second.values].length).toBe(8);
    expect([...first.values.slice(4), ...second.values].sort()).toEqual(
      first.values.slice(0, 4).sort(),
    );
    await closeAll([first, second]);
  });

  test('[GROUP-19] onAssigned may say where to begin, with nothing committed too', async () => {
    await using log = await open();
    await send(log, 5);
    const worker: Worker = new Worker(
      log,
      { autoOffsetReset: 'none' },
      {
        onAssigned: (partitions) => {
          for (const place of partitions) worker.consumer.seek(place, 3);
        },
      },
    );
    await expect.poll(() => worker.values.length).toBe(8);
    expect(worker.values.every((value) => /:[34]$/.test(value))).toBe(true);
    expect(worker.errors).toEqual([]);
    await worker.close();
  });

  test('[GROUP-19] one that fails fails the poll once, and the seat is kept', async () => {
    await using log = await open();
    await send(log, 2);
    const callbacks = {
      onAssigned: () => Promise.reject(new TypeError('no room')),
      onRevoked: () => {
        throw new TypeError('not now');
      },
    };
    const consumer = log.consumer(QUICK).subscribe([spread], callbacks);
    const failed = await consumer.poll().catch((error: unknown) => error);
    expect(failed).toMatchObject({
      code: 'REBALANCE_CALLBACK_FAILED',
      details: { callback: 'onAssigned' },
      cause: { message: 'no room' },
    });
    expect((await consumer.poll()).length).toBeGreaterThan(0);
    expect((await log.admin().describeGroup('g')).members).toHaveLength(1);
    expect(await codeOf(consumer.close())).toBe('REBALANCE_CALLBACK_FAILED');
    expect((await log.admin().describeGroup('g')).state).toBe('Empty');
  });
});

describe('cooperative', () => {
  test('[GROUP-17] only what moves is revoked, and what stays is read meanwhile', async () => {
    await using log = await open();
    await send(log, 1);
    const first = new Worker(log, { ...COOPERATIVE, enableAutoCommit: false });
    await expect.poll(() => first.values.length).toBe(4);
    const second = new Worker(log, { ...COOPERATIVE, enableAutoCommit: false });
    await expect.poll(() => countsOf([first, second])).toEqual([2, 2]);
    const [gone, ...more] = first.events.filter((event) => event.startsWith('onRevoked'));
    expect(gone).toBe(`onRevoked ${second.partitions.join('')}`);
    expect(more).toEqual([]);
    // Nothing was committed, and still what stays is not read again.
    await send(log, 1, 1);
    await expect.poll(() => [...first.values, ...second.values].length).toBe(10);
    expect(new Set(first.values).size).toBe(first.values.length);
    const last = first.rebalances.find(({ revoked }) => revoked.length > 0);
    expect(last?.revoked).toHaveLength(2);
    await closeAll([first, second]);
  });

  test('[GROUP-17] a member goes on reading while another is waited for', async () => {
    await using log = await open();
    const workers = [new Worker(log, COOPERATIVE), new Worker(log, COOPERATIVE)];
    await expect.poll(() => countsOf(workers)).toEqual([2, 2]);
    const [reading, slow] = workers as [Worker, Worker];
    await slow.stop(); // does not join anew
    const third = new Worker(log, COOPERATIVE);
    await sleepMs(60);
    await send(log, 3);
    await expect.poll(() => reading.values.length).toBe(6);
    expect(third.partitions).toEqual([]);
    slow.start();
    await expect.poll(() => countsOf([...workers, third])).toEqual([2, 1, 1]);
    await closeAll([...workers, third]);
    const all = [reading, slow, third].flatMap(({ values }) => values);
    expect([all.length, new Set(all).size]).toEqual([12, 12]);
  });

  test('[GROUP-17] what is revoked is committed automatically just before', async () => {
    await using log = await open();
    const options = { ...COOPERATIVE, autoCommitIntervalMs: 3_600_000 };
    const first = new Worker(log, options);
    await expect.poll(() => first.partitions.length).toBe(4);
    await send(log, 50);
    const second = new Worker(log, options);
    await expect.poll(() => countsOf([first, second])).toEqual([2, 2]);
    await send(log, 50, 50);
    const all = () => [...first.values, ...second.values];
    await expect.poll(() => all().length).toBeGreaterThanOrEqual(400);
    await closeAll([first, second]);
    expect([all().length, new Set(all()).size]).toEqual([400, 400]);
  });

  test('[GROUP-17] a topic that is no longer subscribed is given up first', async () => {
    await using log = await open();
    const other = topic('other', { key: string(), value: string(), partitions: 1 });
    const events: string[] = [];
    const callbacks = {
      onRevoked: (places: readonly TopicPartition[]) => {
        events.push(...places.map((place) => `${place.topic}-${place.partition}`));
      },
    };
    await using consumer = log.consumer({ ...QUICK, ...COOPERATIVE });
    await seated(consumer.subscribe<AnyTopic>([spread, other], callbacks), 5);
    await seated(consumer.subscribe([spread], callbacks), 4);
    expect(events).toEqual(['other-0']);
    expect(consumer.subscription).toEqual(['spread']);
  });

  test('[GROUP-10] [GROUP-16] eager groups divide by any assignor', async () => {
    await using log = await open();
    for (const assignor of [roundRobinAssignor, stickyAssignor]) {
      const options = { groupId: assignor.name, partitionAssignmentStrategy: [assignor] };
      const workers = [new Worker(log, options), new Worker(log, options)];
      await expect.poll(() => countsOf(workers)).toEqual([2, 2]);
      expect((await log.admin().describeGroup(assignor.name)).protocol).toBe(assignor.name);
      const third = new Worker(log, options);
      const before = workers.map(({ partitions }) => partitions);
      await expect.poll(() => countsOf([...workers, third])).toEqual([2, 1, 1]);
      if (assignor === stickyAssignor) {
        for (const [index, { partitions }] of workers.entries()) {
          expect(before[index]).toEqual(expect.arrayContaining(partitions));
        }
      }
      await closeAll([...workers, third]);
    }
  });
});

describe('waiting', () => {
  test('[GROUP-9] a poll waits no longer for its seat than for records', async () => {
    await using log = await open();
    await send(log, 1);
    const first = new Worker(log);
    await expect.poll(() => first.partitions.length).toBe(4);
    await first.stop(); // does not join anew, so the next one has to wait
    await using second = log.consumer(QUICK).subscribe([spread]);
    for (let poll = 0; poll < 3; poll++) expect(await second.poll({ maxWaitMs: 20 })).toEqual([]);
    const stop = new AbortController();
    const waiting = codeOf(second.poll({ signal: stop.signal }));
    await sleepMs(20);
    stop.abort();
    expect(await waiting).toBe('ABORTED');
    expect(second.assignment).toEqual([]);
    await first.consumer.close();
    await send(log, 1, 1);
    expect((await second.poll()).length).toBeGreaterThan(0);
    expect(second.assignment).toHaveLength(4);
  });

  test('[GROUP-17] who joins twice before it gets a seat keeps what it has', async () => {
    await using log = await open();
    await send(log, 2);
    let refusals = 0;
    const api = tap(log.api, {
      syncGroup: async (request) => {
        // As when another member comes between joining and the answer.
        if (refusals-- > 0) {
          const { groupId } = request;
          throw new LogError('REBALANCE_IN_PROGRESS', 'another one has come', { groupId });
        }
        return log.api.syncGroup(request);
      },
    });
    const events: string[] = [];
    const options = { ...QUICK, ...COOPERATIVE, enableAutoCommit: false };
    await using consumer = new Consumer(api, options, { logger: silentLogger }).subscribe(
      [spread],
      { onLost: () => void events.push('lost'), onRevoked: () => void events.push('revoked') },
    );
    const seen: string[] = [];
    const read = async () => {
      for (const { value } of await consumer.poll({ maxWaitMs: 20 })) seen.push(String(value));
      return seen.length;
    };
    await expect.poll(read).toBe(8);
    const { generation = 0 } = consumer.groupMetadata();
    refusals = 2;
    consumer.subscribe([spread], { onLost: () => void events.push('lost') });
    await expect
      .poll(async () => {
        await read();
        return consumer.groupMetadata().generation;
      })
      .toBeGreaterThan(generation + 1);
    await send(log, 1, 2);
    await expect.poll(read).toBe(12);
    expect([events, new Set(seen).size]).toEqual([[], 12]);
  });
});

describe('leaving', () => {
  test('[CONSUMER-16] who unsubscribes while it joins takes no seat, then or later', async () => {
    await using log = await open();
    const first = new Worker(log);
    await expect.poll(() => first.partitions.length).toBe(4);
    await first.stop(); // does not join anew, so the next one has to wait
    await using second = log.consumer(QUICK).subscribe([spread]);
    expect(await second.poll({ maxWaitMs: 40 })).toEqual([]);
    await second.unsubscribe();
    const other = topic('other', { key: string(), value: string(), partitions: 1 });
    const again = second.subscribe([other]);
    expect(await again.poll({ maxWaitMs: 40 })).toEqual([]);
    first.start();
    await seated(again, 1);
    const { members } = await log.admin().describeGroup('g');
    expect(members).toHaveLength(2);
    await expect.poll(() => first.partitions.length).toBe(4);
    await first.close();
  });

  test('[GROUP-9] who is closed in the middle of a callback takes no seat', async () => {
    await using log = await open();
    let closing: Promise<void> | undefined;
    const callbacks = {
      onRevoked: async () => {
        closing ??= consumer.close();
        await sleepMs(30);
      },
    };
    const consumer: Consumer = log.consumer(QUICK).subscribe([spread], callbacks);
    await seated(consumer, 4);
    const second = new Worker(log);
    const polls = async () => {
      for (;;) await consumer.poll({ maxWaitMs: 20 });
    };
    expect(await codeOf(polls())).toBe('CLOSED');
    await closing;
    await expect.poll(() => second.partitions.length).toBe(4);
    expect((await log.admin().describeGroup('g')).members).toHaveLength(1);
    await second.close();
  });
});

test('[CONSUMER-16] another subscription counts at once, also while a member joins', async () => {
  await using log = await open();
  const other = topic('other', { key: string(), value: string(), partitions: 1 });
  const first = new Worker(log, COOPERATIVE);
  await expect.poll(() => first.partitions.length).toBe(4);
  await using second = log.consumer({ ...QUICK, ...COOPERATIVE });
  await seated(second.subscribe([spread]), 2);
  await first.stop();
  // It joins, and waits for the first; meanwhile it reads on, and then wants something else.
  second.subscribe<AnyTopic>([spread, other]);
  await second.poll({ maxWaitMs: 20 });
  await send(log, 3);
  second.subscribe([other]);
  expect(await second.poll({ maxWaitMs: 40 })).toEqual([]);
  expect(second.assignment).toEqual([]);
  first.start();
  await seated(second, 1);
  expect(second.assignment).toEqual([{ topic: 'other', partition: 0 }]);
  await expect.poll(() => first.partitions.length).toBe(4);
  await expect.poll(() => first.values.length).toBe(12);
  await first.close();
});

describe('seats that are lost', () => {
  test('[GROUP-20] after maxPollIntervalMs: onLost, no commit, and begun anew', async () => {
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    await using log = await openLog(temporaryDirectory(), { logger });
    await send(log, 1);
    const worker = new Worker(log, { maxPollIntervalMs: 60, enableAutoCommit: false });
    await expect.poll(() => worker.values.length).toBe(4);
    await worker.stop();
    await expect.poll(async () => (await log.admin().describeGroup('g')).state).toBe('Empty');
    const late = worker.consumer.commit().catch((error: unknown) => error);
    expect(await late).toMatchObject({
      code: 'UNKNOWN_MEMBER_ID',
      message: expect.stringContaining('not polled for maxPollIntervalMs=60') as unknown,
    });
    expect(await codeOf((async () => worker.consumer.groupMetadata())())).toBe('UNKNOWN_MEMBER_ID');
    worker.start();
    await expect.poll(() => worker.values.length).toBe(8);
    expect(worker.events).toEqual(['onAssigned 0123', 'onLost 0123', 'onAssigned 0123']);
    expect(worker.rebalances.at(-1)?.lost).toHaveLength(4);
    expect(warnings.join()).toContain('lost its seat in group g: it was not polled');
    await worker.close();
  });

  test('[GROUP-20] thrown out by its session: the others go on, it begins anew', async () => {
    await using log = await open();
    let isSilent = false;
    const api = tap(log.api, {
      heartbeat: (request) => (isSilent ? Promise.resolve() : log.api.heartbeat(request)),
    });
    const lost: number[] = [];
    await using consumer = new Consumer(
      api,
      { ...QUICK, sessionTimeoutMs: 100 },
      { logger: silentLogger },
    ).subscribe([spread], { onRevoked: (partitions) => void lost.push(partitions.length) });
    await seated(consumer, 4);
    isSilent = true;
    await expect.poll(async () => (await log.admin().describeGroup('g')).state).toBe('Empty');
    isSilent = false;
    await expect
      .poll(async () => {
        await consumer.poll({ maxWaitMs: 20 });
        return [lost, consumer.assignment.length];
      })
      .toEqual([[4], 4]); // without onLost it is onRevoked that is told
  });
});

describe('static members', () => {
  const named = (groupInstanceId: string): ConsumerOptions => ({
    groupInstanceId,
    sessionTimeoutMs: 10_000,
  });

  test('[GROUP-18] a restart takes no rebalance, and has the same partitions', async () => {
    await using log = await open();
    const [x, y] = [new Worker(log, named('x')), new Worker(log, named('y'))];
    await expect.poll(() => countsOf([x, y])).toEqual([2, 2]);
    const had = y.partitions;
    const { generation } = x.consumer.groupMetadata();
    await y.close();
    await send(log, 2);
    const again = new Worker(log, named('y'));
    await expect.poll(() => again.partitions).toEqual(had);
    await expect.poll(() => x.values.length + again.values.length).toBe(8);
    expect(x.consumer.groupMetadata().generation).toBe(generation);
    expect(again.consumer.groupMetadata().generation).toBe(generation);
    expect(x.events).not.toContain('onLost');
    await closeAll([x, again]);
  });

  test('[GROUP-18] the former of two with one id is fenced for ever', async () => {
    await using log = await open();
    await using former = log.consumer({ ...QUICK, ...named('x') }).subscribe([spread]);
    await seated(former, 4);
    const latter = new Worker(log, named('x'));
    await expect.poll(() => latter.partitions.length).toBe(4);
    expect(await codeOf(former.commit([{ topic: 'spread', partition: 0, offset: 1 }]))).toBe(
      'FENCED_INSTANCE_ID',
    );
    const polls = async () => {
      for (;;) await former.poll({ maxWaitMs: 20 });
    };
    expect(await codeOf(polls())).toBe('FENCED_INSTANCE_ID');
    expect(await codeOf(former.poll())).toBe('FENCED_INSTANCE_ID');
    expect(await codeOf(former.commit())).toBe('FENCED_INSTANCE_ID');
    await latter.close();
  });
});
