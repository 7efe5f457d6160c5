import { LogError } from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import type { PassingTopic } from './models.ts';
import { events, passing, table } from './topics.ts';
import { below, pick, type Stage } from './world.ts';

const NAMES = ['passing-a', 'passing-b', 'passing.c'];
const EVENT_PARTITIONS_MAX = 6;

/** Creates topics, writes to them, adds partitions and deletes them; changes settings. */
export async function administer(stage: Stage): Promise<void> {
  const { life, random, isDone } = stage;
  while (!isDone()) {
    const chance = below(random, 8);
    if (chance === 0) await grow(stage);
    else if (chance === 1) await configure(stage);
    else await pass(stage, pick(random, NAMES));
    await sleep(life.clock, below(random, 100));
  }
}

async function grow({ world, life }: Stage): Promise<void> {
  const { models } = world;
  const next = models.eventPartitions + 1;
  if (next > EVENT_PARTITIONS_MAX) return;
  const count = (await life.log.admin().describeTopics([events.name]))[0]?.partitions ?? 0;
  if (count < next) await life.log.admin().createPartitions(events.name, next);
  if (!life.isOver()) models.eventPartitions = next;
}

async function configure({ life, random }: Stage): Promise<void> {
  const set = { segmentBytes: pick(random, [1024, 2048, 3000]) };
  await life.log.admin().alterConfigs(pick(random, [events, table]).name, { set });
}

async function pass(stage: Stage, name: string): Promise<void> {
  const { world, random } = stage;
  const known = world.models.passing.get(name);
  if (known === undefined || known.state === 'gone') await create(stage, name);
  else if (known.state === 'maybe') await settle(stage, name);
  else if (below(random, 5) === 0) await remove(stage, name, known);
  else if (below(random, 3) === 0) await widen(stage, name, known);
  else await fill(stage, name, known);
}

async function create({ world, life, random }: Stage, name: string): Promise<void> {
  const partitions = 1 + below(random, 3);
  const made: PassingTopic = {
    state: 'maybe',
    partitions,
    asked: partitions,
    sent: new Set(),
    acknowledged: new Set(),
  };
  world.models.passing.set(name, made);
  await life.log.admin().createTopic(name, { partitions, config: passing(name).config });
  if (!life.isOver()) made.state = 'there';
}

/** Deletes a topic that may exist. */
async function settle({ world, life }: Stage, name: string): Promise<void> {
  try {
    await life.log.admin().deleteTopics([name]);
  } catch (error) {
    if (!LogError.is(error, 'UNKNOWN_TOPIC_OR_PARTITION')) throw error;
  }
  if (!life.isOver()) world.models.passing.delete(name);
}

async function remove({ life }: Stage, name: string, known: PassingTopic): Promise<void> {
  known.state = 'maybe';
  await life.log.admin().deleteTopics([name]);
  if (!life.isOver()) known.state = 'gone';
}

async function widen({ life }: Stage, name: string, known: PassingTopic): Promise<void> {
  known.asked++;
  await life.log.admin().createPartitions(name, known.asked);
  if (!life.isOver()) known.partitions = known.asked;
}

async function fill(stage: Stage, name: string, known: PassingTopic): Promise<void> {
  const { world, life, random } = stage;
  const producer = life.log.producer();
  for (let left = 1 + below(random, 5); left > 0; left--) {
    const value = world.newValue(`${name} of ${stage.name}`);
    known.sent.add(value);
    await producer.send(passing(name), { value, partition: below(random, known.partitions) });
    if (life.isOver()) return;
    known.acknowledged.add(value);
  }
}
