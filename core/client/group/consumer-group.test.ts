import { describe, expect, test } from 'vitest';
import { codeOf } from '../../../test/kit/codes.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { tap } from '../../../test/kit/tap.ts';
import { silentLogger } from '../../logger.ts';
import { string } from '../../serde/text.ts';
import { rangeAssignor, type Assignor } from './assignors.ts';
import { Consumer } from '../consumer/consumer.ts';
import type { Rebalance } from './rebalancer.ts';
import type { ConsumerOptions } from '../consumer/consumer-options.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { topic } from '../topic.ts';

const spread = topic('spread', { key: string(), value: string(), partitions: 4 });
const other = topic('other', { key: string(), value: string(), partitions: 2 });

const open = () => openLog(temporaryDirectory(), { logger: silentLogger });

/** Quick enough to see rebalances within a test. */
const QUICK = { groupId: 'g', heartbeatIntervalMs: 15, fetchMaxWaitMs: 20 } as const;

/** A consumer that polls in the background and notes what it gets. */
class Worker {
  readonly consumer: Consumer;
  readonly values: string[] = [];
  readonly rebalances: Rebalance[] = [];
  readonly ended: Promise<string>;
  #isStopped = false;

  constructor(consumer: Consumer) {
    this.consumer = consumer;
    consumer.rebalances$.subscribe((rebalance) => this.rebalances.push(rebalance));
    this.ended = codeOf(this.#run());
  }

  get partitions(): string[] {
    return this.consumer.assignment.map(({ topic: name, partition }) => `${name}-${partition}`);
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      for (const { value } of await this.consumer.poll({ maxWaitMs: 20 })) {
        this.values.push(String(value));
      }
    }
  }

  /** Stops polling, and keeps the seat. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.ended;
  }
}

const work = (log: Log, options: ConsumerOptions = {}, topics = [spread]) =>
  new Worker(log.consumer({ ...QUICK, ...options }).subscribe(topics));

/** Waits until the workers have so many partitions, and none is read by two of them. */
async function expectShares(workers: readonly Worker[], counts: readonly number[]): Promise<void> {
  await expect
    .poll(() => {
      const all = workers.flatMap(({ partitions }) => partitions);
      if (new Set(all).size < all.length) return 'some twice';
      return workers.map(({ partitions }) => partitions.length).sort((x, y) => y - x);
    })
    .toEqual(counts);
}

async function send(log: Log, values: readonly string[]): Promise<void> {
  await log.producer().sendAll(
    spread,
    values.map((value) => ({ key: value, value })),
  );
}

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => String(from + index));

describe('rebalances', () => {
  test('[GROUP-5] one, two, three consumers share; who stays gets what others leave', async () => {
    await using log = await open();
    const workers = [work(log)];
    await expectShares(workers, [4]);
    workers.push(work(log));
    await expectShares(workers, [2, 2]);
    workers.push(work(log));
    await expectShares(workers, [2, 1, 1]);
    await workers.shift()?.consumer.close();
    await expectShares(workers, [2, 2]);
    await workers.shift()?.consumer.close();
    await expectShares(workers, [4]);
    const generations = workers[0]!.rebalances.map(({ generation }) => generation);
    expect(generations).toEqual(generations.toSorted((a, b) => a - b));
    expect(workers[0]!.rebalances.at(-1)?.partitions).toHaveLength(4);
    await workers[0]!.consumer.close();
  });

  test('[GROUP-5] consumers that begin a log at the same moment get their shares', async () => {
    await using log = await open();
    const workers = [work(log), work(log), work(log)];
    await expectShares(workers, [2, 1, 1]);
    await Promise.all(workers.map(({ consumer }) => consumer.close()));
  });

  test('[GROUP-6] no record is lost or read twice while consumers come and go', async () => {
    await using log = await open();
    const options = { autoCommitIntervalMs: 0 };
    const workers = [work(log, options)];
    await send(log, numbers(0, 100));
    workers.push(work(log, options));
    await send(log, numbers(100, 200));
    await expectShares(workers, [2, 2]);
    await workers[0]!.stop();
    await workers[0]!.consumer.close();
    await send(log, numbers(200, 300));
    const all = () => workers.flatMap(({ values }) => values);
    await expect.poll(() => all().length).toBeGreaterThanOrEqual(300);
    expect(all().sort((a, b) => Number(a) - Number(b))).toEqual(numbers(0, 300));
    await workers[1]!.consumer.close();
  });

  test('[GROUP-7] one that is silent for its session timeout loses its partitions', async () => {
    await using log = await open();
    const api = tap(log.api, { heartbeat: () => Promise.resolve() }); // nobody hears of it
    const silent = new Worker(
      new Consumer(api, { ...QUICK, sessionTimeoutMs: 150 }).subscribe([spread]),
    );
    await expectShares([silent], [4]);
    await silent.stop();
    const worker = work(log);
    await expectShares([worker], [4]);
    const commit = silent.consumer.commit();
    expect(await codeOf(commit)).toMatch(/UNKNOWN_MEMBER_ID|ILLEGAL_GENERATION/);
    await worker.consumer.close();
    await silent.consumer.close();
  });

  test('[GROUP-7] one that asks for nothing for maxPollIntervalMs leaves by itself', async () => {
    await using log = await open();
    const idle = work(log, { maxPollIntervalMs: 100 });
    await expectShares([idle], [4]);
    await idle.stop();
    await expect.poll(async () => (await log.admin().describeGroup('g')).state).toBe('Empty');
    // Asked again, it is back.
    await send(log, ['a']);
    expect((await idle.consumer.poll()).length).toBe(1);
    await idle.consumer.close();
  });

  test('[GROUP-7] an iteration shows that it is alive with each record', async () => {
    await using log = await open();
    await send(log, numbers(0, 12));
    await using consumer = log.consumer({ ...QUICK, maxPollIntervalMs: 150 }).subscribe([spread]);
    const seen: string[] = [];
    for await (const { value } of consumer) {
      seen.push(String(value));
      await new Promise((resolve) => setTimeout(resolve, 30));
      if (seen.length === 12) break;
    }
    expect(new Set(seen).size).toBe(12);
    expect((await log.admin().describeGroup('g')).members).toHaveLength(1);
  });

  test('[GROUP-8] who lost its seat begins again where the group stands', async () => {
    await using log = await open();
    await send(log, numbers(0, 40));
    const options = { enableAutoCommit: false, maxPollIntervalMs: 60 };
    await using slow = log.consumer({ ...QUICK, ...options }).subscribe([spread]);
    expect((await slow.poll()).length).toBe(40);
    await expect.poll(async () => (await log.admin().describeGroup('g')).state).toBe('Empty');
    // Nothing was committed, so all of it is read again.
    const again: string[] = [];
    await expect
      .poll(async () => {
        for (const { value } of await slow.poll({ maxWaitMs: 20 })) again.push(String(value));
        return again.length;
      })
      .toBe(40);
  });

  test('[GROUP-8] a partition that stays goes on where it is, without a commit', async () => {
    await using log = await open();
    await send(log, numbers(0, 40));
    const first = work(log, { enableAutoCommit: false });
    await expect.poll(() => first.values.length).toBe(40);
    const second = work(log, { enableAutoCommit: false });
    await expectShares([first, second], [2, 2]);
    await send(log, ['x']);
    await expect.poll(() => [...first.values, ...second.values]).toContain('x');
    expect(first.values.filter((value) => value !== 'x')).toEqual(first.values.slice(0, 40));
    await Promise.all([first, second].map(({ consumer }) => consumer.close()));
  });
});

describe('joining', () => {
  test('[GROUP-9] a consumer that is closed while it joins takes no seat', async () => {
    await using log = await open();
    const first = work(log);
    await expectShares([first], [4]);
    await first.stop(); // does not join anew, so the next one has to wait
    const second = log.consumer(QUICK).subscribe([spread]);
    const polling = codeOf(second.poll());
    await new Promise((resolve) => setTimeout(resolve, 30));
    await second.close();
    expect(await polling).toBe('CLOSED');
    const third = new Worker(first.consumer);
    await expectShares([third], [4]);
    await expect.poll(async () => (await log.admin().describeGroup('g')).members.length).toBe(1);
    await first.consumer.close();
  });

  test('[GROUP-9] the signal ends a poll that waits for the others to join', async () => {
    await using log = await open();
    const first = work(log);
    await expectShares([first], [4]);
    await first.stop();
    const stop = new AbortController();
    const second = log.consumer({ ...QUICK, signal: stop.signal }).subscribe([spread]);
    const polling = codeOf(second.poll());
    await new Promise((resolve) => setTimeout(resolve, 30));
    stop.abort();
    expect(await polling).toBe('ABORTED');
    await second.close();
    await first.consumer.close();
  });

  test('[GROUP-9] what fails once after a rebalance is tried again by the next poll', async () => {
    await using log = await open();
    await send(log, ['a']);
    let failures = 1;
    const api = tap(log.api, {
      offsetFetch: (request) =>
        failures-- > 0 ? Promise.reject(new TypeError('once')) : log.api.offsetFetch(request),
    });
    await using consumer = new Consumer(api, QUICK).subscribe([spread]);
    await expect(consumer.poll()).rejects.toThrow('once');
    expect((await consumer.poll()).map(({ value }) => value)).toEqual(['a']);
  });

  test('[GROUP-10] members may read different topics, and get what they asked for', async () => {
    await using log = await open();
    const first = work(log, {}, [spread]);
    await expectShares([first], [4]);
    const second = work(log, {}, [other]);
    await expect.poll(() => second.partitions).toEqual(['other-0', 'other-1']);
    expect(first.partitions).toHaveLength(4);
    await Promise.all([first, second].map(({ consumer }) => consumer.close()));
  });

  test('[GROUP-10] an assignor of one’s own divides the partitions', async () => {
    await using log = await open();
    const greedy: Assignor = {
      name: 'greedy',
      assign(members, partitions) {
        const [last] = members
          .map(({ memberId }) => memberId)
          .sort()
          .reverse();
        const all = [...partitions].flatMap(([name, count]) =>
          Array.from({ length: count }, (_, partition) => ({ topic: name, partition })),
        );
        return new Map([[last ?? '', all]]);
      },
    };
    const options = { partitionAssignmentStrategy: [greedy, rangeAssignor] };
    const workers = [work(log, options), work(log, options)];
    await expect
      .poll(() => workers.map(({ partitions }) => partitions.length).sort())
      .toEqual([0, 4]);
    await Promise.all(workers.map(({ consumer }) => consumer.close()));
  });
});

describe('what is told of groups', () => {
  test('[GROUP-11] groups are listed and described, also after a restart', async () => {
    const directory = temporaryDirectory();
    {
      await using log = await openLog(directory, { logger: silentLogger });
      await send(log, ['a']);
      const consumer = log.consumer(QUICK).subscribe([spread]);
      await consumer.poll();
      const described = await log.admin().describeGroup('g');
      expect(described).toMatchObject({ state: 'Stable', protocol: 'range' });
      expect(described.members).toHaveLength(1);
      await consumer.close();
      expect(await codeOf(log.admin().describeGroup('h'))).toBe('GROUP_ID_NOT_FOUND');
    }
    await using log = await openLog(directory, { logger: silentLogger });
    expect((await log.admin().listGroups()).map(({ groupId }) => groupId)).toEqual(['g']);
    await using consumer = log.consumer(QUICK).subscribe([spread]);
    await expectShares([new Worker(consumer)], [4]);
    // Generations go on: a member of the process before is not one of this.
    expect(consumer.groupMetadata().generation).toBeGreaterThan(1);
  });

  test('[GROUP-12] offsets are committed from outside only while the group is empty', async () => {
    await using log = await open();
    await send(log, ['a']);
    const offsets = [{ topic: 'spread', partition: 0, offset: 3, metadata: 'why' }];
    const outside = { groupId: 'g', memberId: '', generation: -1, offsets };
    await log.api.offsetCommit(outside);
    const worker = work(log);
    await expectShares([worker], [4]);
    expect(await codeOf(log.api.offsetCommit(outside))).toBe('UNKNOWN_MEMBER_ID');
    expect(worker.consumer.position({ topic: 'spread', partition: 0 })).toBeGreaterThanOrEqual(0);
    await worker.consumer.close();
    const unknown = [{ ...offsets[0]!, topic: 'nothing' }];
    const refused = log.api.offsetCommit({ ...outside, offsets: unknown });
    expect(await codeOf(refused)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    const large = [{ ...offsets[0]!, metadata: 'x'.repeat(5000) }];
    const tooLarge = log.api.offsetCommit({ ...outside, offsets: large });
    expect(await codeOf(tooLarge)).toBe('OFFSET_METADATA_TOO_LARGE');
  });
});
