import { expect, test } from 'vitest';
import { SEED } from '../../../test/kit/seed.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { LogError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { seededRandom, type Random } from '../../random.ts';
import { string } from '../../serde/text.ts';
import { rangeAssignor, roundRobinAssignor, type Assignor } from '../group/assignors.ts';
import type { Consumer } from './consumer.ts';
import type { Log } from '../log.ts';
import { openLog } from '../open-log.ts';
import { cooperativeStickyAssignor, stickyAssignor } from '../group/sticky-assignor.ts';
import { topic } from '../topic.ts';

const PARTITIONS = 5;
const spread = topic('spread', { key: string(), value: string(), partitions: PARTITIONS });
const sleepMs = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const upTo = (random: Random, count: number) => Math.floor(random.next() * count);

interface Setting {
  readonly assignor: Assignor;
  readonly random: Random;
  /** Members that stall past `maxPollIntervalMs`, whose seats are taken from them. */
  readonly mayStall: boolean;
}

/** Offsets by partition, in the order in which anybody was handed them. */
type Handed = Map<number, number[]>;

/** What a member may not meet; the rest is what a member meets in a rebalance. */
const EXPECTED = new Set(['CLOSED', 'UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION']);

/** Polls until told to end, and checks that its positions never jump forwards. */
async function work(consumer: Consumer, handed: Handed, setting: Setting): Promise<void> {
  const { random, mayStall } = setting;
  for (;;) {
    try {
      for (const { partition, offset } of await consumer.poll({ maxWaitMs: upTo(random, 30) })) {
        const before = handed.get(partition) ?? [];
        // Nobody skips what nobody was handed.
        expect(offset).toBeLessThanOrEqual(Math.max(-1, ...before) + 1);
        handed.set(partition, [...before, offset]);
      }
      if (mayStall && upTo(random, 25) === 0) await sleepMs(120);
      else await sleepMs(upTo(random, 4));
      if (upTo(random, 6) === 0) await consumer.commit();
    } catch (error) {
      if (LogError.is(error, 'CLOSED')) return;
      if (error instanceof LogError && (EXPECTED.has(error.code) || error.retriable)) continue;
      throw error;
    }
  }
}

async function simulate(log: Log, setting: Setting): Promise<Handed> {
  const { assignor, random, mayStall } = setting;
  const handed: Handed = new Map();
  const members: { consumer: Consumer; working: Promise<void> }[] = [];
  const come = (): void => {
    const consumer = log.consumer({
      groupId: 'g',
      partitionAssignmentStrategy: [assignor],
      heartbeatIntervalMs: 5,
      fetchMaxWaitMs: 10,
      maxPollRecords: 1 + upTo(random, 20),
      autoCommitIntervalMs: upTo(random, 60),
      maxPollIntervalMs: mayStall ? 80 : 20_000,
    });
    consumer.subscribe([spread], { onRevoked: () => sleepMs(upTo(random, 5)) });
    members.push({ consumer, working: work(consumer, handed, setting) });
  };
  const go = async (): Promise<void> => {
    const [member] = members.splice(upTo(random, members.length), 1);
    await member?.consumer.close();
    await member?.working;
  };
  const producer = log.producer();
  const sent = Array.from({ length: PARTITIONS }, () => 0);
  for (let step = 0; step < 40; step++) {
    const chance = upTo(random, 4);
    if (members.length === 0 || (chance === 0 && members.length < 5)) come();
    else if (chance === 1) await go();
    const partition = upTo(random, PARTITIONS);
    const records = Array.from({ length: upTo(random, 60) }, () => ({ value: 'x', partition }));
    sent[partition]! += records.length;
    await producer.sendAll(spread, records);
    await sleepMs(upTo(random, 20));
  }
  come();
  const missing = () => sent.map((count, partition) => count - new Set(handed.get(partition)).size);
  await expect.poll(missing, { timeout: 15_000 }).toEqual(sent.map(() => 0));
  while (members.length > 0) await go();
  return handed;
}

const ASSIGNORS = [rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor];

test.each(ASSIGNORS)(
  `[GROUP-21] $name: exactly once while members come and close (seed ${SEED})`,
  async (assignor) => {
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
    const random = seededRandom(SEED);
    for (const offsets of (await simulate(log, { assignor, random, mayStall: false })).values()) {
      expect(offsets).toEqual(offsets.map((_, index) => index));
    }
  },
);

test.each([rangeAssignor, cooperativeStickyAssignor])(
  `[GROUP-21] $name: at least once while members stall as well (seed ${SEED})`,
  async (assignor) => {
    await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
    await simulate(log, { assignor, random: seededRandom(SEED), mayStall: true });
  },
);
