import { join } from 'node:path';
import {
  type Consumer,
  type Log,
  type Logger,
  type Producer,
  type Topic,
  type TopicWriter,
  type Transaction,
} from '../../core/index.ts';
import { offsetsOf, present, withFields } from '../../core/internal.ts';
import { LmdbEnvironment } from '../state/lmdb-environment.ts';
import { TaskState } from '../state/task-state.ts';
import type { TopicSpec } from '../topology/node.ts';
import { fetchCommitted, type Committed } from './committed.ts';
import { deadLetterTopic } from './dead-letters.ts';
import { Deliveries } from './deliveries.ts';
import type { EndOfInput } from './end-of-input.ts';
import { ErrorPolicies } from './error-policies.ts';
import type { GlobalTables } from './global-tables.ts';
import { fieldsOf } from './log-fields.ts';
import type { LiveQueries } from './live-queries.ts';
import type { AppCounts } from './metrics.ts';
import { decodeOffsetMetadata } from './offset-metadata.ts';
import type { StreamsSettings } from './options.ts';
import type { Outputs, RecordWriter } from './outputs.ts';
import type { Recovery } from './recovery.ts';
import type { Plan, TaskPlan } from './plan.ts';
import { restoreStores, type StoreRestore } from './restore.ts';
import { Publisher } from './published-records.ts';
import { withSizeLimit } from './size-limit.ts';
import { stateDirectoryOf } from './state-directory.ts';
import { Task } from './task.ts';
import { Wakeup } from './wakeup.ts';
import { changelogTopic, MESSAGE_BYTES_MAX, placeOf, topicHandle } from './topics.ts';

/** What the attempts of a group work with, and on. */
export interface TaskRunnerOptions {
  readonly log: Log;
  /** The name of the group, which is its transactional id. */
  readonly group: string;
  /** True if nothing new is to be begun: a restore stops. */
  readonly mustStop: () => boolean;
  /** True if nothing is to be processed at present. */
  readonly isPaused: () => boolean;
  /** How long stream time waits for empty inputs now. */
  readonly idleTimeoutMs: () => number;
  /** Called when everything is committed and nothing goes on, and when it does again. */
  readonly pausing: (isPausing: boolean) => void;
  readonly plan: Plan;
  readonly settings: StreamsSettings;
  readonly globalTables: GlobalTables;
  readonly counts: AppCounts;
  readonly recovery: Recovery;
  readonly live: LiveQueries;
  readonly ends: EndOfInput;
  /** Called when the tasks have changed to what was assigned. */
  readonly assigned: () => void;
  /** Called after each checkpoint. */
  readonly checkpointed: () => void;
}

/** What a group has whatever its tasks are. */
export interface RunnerParts {
  readonly producer: Producer;
  readonly consumer: Consumer;
  /** With exactly-once: the first transaction. */
  readonly transaction: Transaction | undefined;
  readonly deliveries: Deliveries;
  readonly outputs: Outputs;
  readonly policies: ErrorPolicies;
  /** Ends the wait for input: a call of a function has ended. */
  readonly wakeup: Wakeup;
  /** What is observed of the records since the last commit. */
  readonly published: Publisher;
}

const KIB = 1024;
/** Large enough to be worth a file write, small enough that a slice of work fills several. */
const BATCH_BYTES = 128 * KIB;
/** Lets output batches fill across slices; a commit does not wait for it. */
const LINGER_MS = 20;
/**
 * How long a commit waits for a batch that cannot be written, as on a full disk, before the group
 * says so and tries again from its last commit. Kafka's 2 min are for what is lost without a retry.
 */
const DELIVERY_TIMEOUT_MS = 10_000;
/** The size of one fetch from a partition: some milliseconds of work. */
const FETCH_BYTES = 512 * KIB;
/** As long as an idle group waits. Kafka: 500 ms. */
const FETCH_WAIT_MS = 1_000;

/**
 * Opens what tasks work with. Fences the previous attempt.
 *
 * @throws LogError with nothing left open.
 */
export async function openParts(options: TaskRunnerOptions): Promise<RunnerParts> {
  const { log, settings, plan, group } = options;
  const isExactlyOnce = settings.processingGuarantee === 'exactly_once';
  const producer = log.producer({
    batchSize: BATCH_BYTES,
    lingerMs: LINGER_MS,
    deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
    maxRequestSize: MESSAGE_BYTES_MAX,
    transactionTimeoutMs: settings.transactionTimeoutMs,
    ...(isExactlyOnce && { transactionalId: group }),
  });
  const consumer = log.consumer({
    isolationLevel: 'read_committed',
    autoOffsetReset: 'none',
    maxPartitionFetchBytes: FETCH_BYTES,
    fetchMaxWaitMs: FETCH_WAIT_MS,
  });
  try {
    // Before any read: this aborts the previous attempt's transaction, so the log's end is final.
    const transaction = isExactlyOnce ? await producer.beginTransaction() : undefined;
    const deliveries = new Deliveries();
    const policies = new ErrorPolicies(plan.topology, settings);
    const published = new Publisher(options.live.records);
    const outputs = await openOutputs(options, { policies, producer, deliveries, published });
    const wakeup = new Wakeup();
    return { producer, consumer, transaction, deliveries, outputs, policies, wakeup, published };
  } catch (cause) {
    await closeParts({ producer, consumer });
    throw cause;
  }
}

/** Closes both. Errors here are ignored in favour of the one that came before. */
export async function closeParts({
  consumer,
  producer,
}: Pick<RunnerParts, 'producer' | 'consumer'>): Promise<void> {
  await consumer.close();
  await producer.close().catch(() => undefined); // everything is committed or aborted
}

/**
 * Restores the state of tasks and lets them continue from their last commit.
 *
 * @throws StreamsError, LogError with none of them left open.
 */
export async function openTasks(
  options: TaskRunnerOptions,
  { outputs, policies, wakeup }: RunnerParts,
  plans: readonly TaskPlan[],
): Promise<Task[]> {
  const states: TaskState[] = [];
  const tasks: Task[] = [];
  options.ends.opened(plans);
  try {
    const committed = await fetchCommitted(options.log, options.plan, plans);
    await openStates(options, { plans, policies, committed, states, wakeup });
    await beginTasks(options, { plans, committed, states, outputs, policies, tasks, wakeup });
    return tasks;
  } catch (cause) {
    abandonTasks(tasks, options.settings.logger);
    await closeStates(states);
    throw cause;
  }
}

/** Closes the stores of tasks. */
export async function closeStates(states: readonly TaskState[]): Promise<void> {
  for (const state of states) await state.close();
}

/** Ends the processors of tasks after an error, and logs the errors of that. */
export function abandonTasks(tasks: readonly Task[], logger: Logger): void {
  for (const task of tasks) {
    try {
      task.close();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      logger.warn(reason, { taskId: task.id, ...fieldsOf(error) });
    }
  }
}

/** Creates the internal topics and a writer for each topic that the topology writes to. */
async function openOutputs(
  options: TaskRunnerOptions,
  {
    policies,
    producer,
    deliveries,
    published,
  }: Pick<RunnerParts, 'policies' | 'producer' | 'deliveries' | 'published'>,
): Promise<Outputs> {
  const { plan, settings } = options;
  const isTransactional = settings.processingGuarantee === 'exactly_once';
  const open = async (topic: TopicSpec): Promise<RecordWriter> => {
    const writer: TopicWriter<unknown, unknown> = await producer.writer(topicHandle(topic));
    return isTransactional ? writer : deliveries.watch(writer);
  };
  const nodes = new Map<string, RecordWriter>();
  const changelogs = new Map<string, RecordWriter>();
  for (const node of plan.topology.nodes) {
    if (node.kind !== 'sink') continue;
    const writer = await open(node.topic);
    const limitBytes = await knownLimit(options, node.topic.name);
    const isLimited = limitBytes !== undefined;
    nodes.set(node.name, isLimited ? withSizeLimit(writer, node.topic, limitBytes) : writer);
  }
  for (const { node, topic } of plan.repartitionTopics) nodes.set(node.name, await open(topic));
  for (const { store, topic } of plan.changelogs) changelogs.set(store.name, await open(topic));
  const deadLetters = new Map<string, RecordWriter>();
  for (const name of policies.usedTopics) deadLetters.set(name, await open(deadLetterTopic(name)));
  return {
    publish: (node, record) => published.add(node, record),
    node: (name) => present(nodes.get(name), 'each node that writes has a writer'),
    changelog: (store) => present(changelogs.get(store), 'each changelog has a writer'),
    deadLetters: (topic) => present(deadLetters.get(topic), 'what may be used has a writer'),
  };
}

/**
 * The present limit of a topic that has refused a batch before: an admin may have changed it since.
 * Undefined for another topic.
 */
async function knownLimit(
  { log, recovery }: TaskRunnerOptions,
  topic: string,
): Promise<number | undefined> {
  const lastBytes = recovery.limitOf(topic);
  if (lastBytes === undefined) return undefined;
  const configs = await log.admin().describeConfigs(topic);
  const found = configs.find(({ name }) => name === 'max.message.bytes');
  // The producer takes no larger ones.
  const limitBytes = Math.min(Number(found?.value ?? lastBytes), MESSAGE_BYTES_MAX);
  recovery.noteLimit(topic, limitBytes);
  return limitBytes;
}

/** What states are made of; each one is in `states` as soon as it is open. */
interface StateParts {
  readonly plans: readonly TaskPlan[];
  readonly policies: ErrorPolicies;
  readonly committed: Committed;
  readonly states: TaskState[];
  readonly wakeup: Wakeup;
}

/** What tasks are made of; each one is in `tasks` as soon as it is made. */
interface TaskParts extends StateParts {
  readonly outputs: Outputs;
  readonly tasks: Task[];
}

/** Restores the tasks' states. */
async function openStates(
  { log, settings, counts, live, mustStop }: TaskRunnerOptions,
  { plans, policies, committed, states, wakeup }: StateParts,
): Promise<void> {
  const { applicationId, cacheEntriesMax, checkpointEntriesMax } = settings;
  const directory = stateDirectoryOf(log, settings);
  const restores: StoreRestore[] = [];
  for (const task of plans) {
    const persistent = task.stores.filter((store) => store.persistent !== false);
    const names = persistent.map(({ name }) => name);
    const environment = await LmdbEnvironment.open(join(directory, task.id), names);
    const state = new TaskState(environment, task.stores, positionOf(task, committed));
    states.push(state);
    state.committed.awaited = () => wakeup.wake();
    live.opening(task.id, state);
    const drops = (node: string) => policies.of(node, 'deserialization').onError !== 'fail';
    restores.push(...restoresOf({ applicationId, task, state, committed, drops }));
  }
  // The tail that a run leaves at its end is restored into memory; a checkpoint would only delay
  // the start.
  const tailMax = checkpointEntriesMax * 2;
  const { restores: progress } = counts;
  await restoreStores(log, restores, {
    ...{ applicationId, cacheEntriesMax, tailMax, progress, mustStop },
  });
  for (const [index, { id }] of plans.entries()) live.restored(id, states[index]!);
}

/** The sum of the offsets that were committed last, as `Task.committedPosition`. */
function positionOf({ inputs, partition }: TaskPlan, { offsets }: Committed): number {
  const kept = inputs.map(({ topic }) => offsets.get(placeOf({ topic: topic.name, partition })));
  return kept.reduce((sum, each) => sum + (each?.offset ?? 0), 0);
}

/** A task whose stores are to be restored. */
interface RestoredTask {
  readonly applicationId: string;
  readonly task: TaskPlan;
  readonly state: TaskState;
  readonly committed: Committed;
  /** True if a node drops records that it cannot read. */
  readonly drops: (node: string) => boolean;
}

function restoresOf({
  applicationId,
  task,
  state,
  committed: { offsets, leftTimes },
  drops,
}: RestoredTask): StoreRestore[] {
  const { inputs, partition } = task;
  const kept = inputs.map(({ topic }) => offsets.get(placeOf({ topic: topic.name, partition })));
  const metadata = [
    ...kept.map((each) => decodeOffsetMetadata(applicationId, each?.metadata ?? '')),
    leftTimes.get(partition),
  ];
  return [...state.stores].flatMap(([name, store]) => {
    const { backing, key, value, expiry } = store.spec;
    const times = metadata.map((each) => each?.operators.get(expiry?.node ?? '') ?? -Infinity);
    if (backing === 'none') {
      store.expire(Math.max(...times));
      return [];
    }
    const isChangelog = backing === 'changelog';
    const topic = isChangelog ? changelogTopic(applicationId, name) : backing.sourceTopic;
    const processed = offsets.get(placeOf({ topic, partition }))?.offset ?? 0;
    const source = inputs.find((input) => !isChangelog && input.topic.name === topic);
    return {
      taskId: task.id,
      state,
      store,
      topic: topicHandle({ name: topic, key, value, partitions: undefined, config: {} }),
      partition,
      endOffset: isChangelog ? undefined : processed,
      timeMs: Math.max(...times),
      dropsUnreadable: source !== undefined && drops(source.node.name),
    };
  });
}

/** Makes the tasks and lets them begin where the last commit was. */
async function beginTasks(
  options: TaskRunnerOptions,
  { plans, committed, states, outputs, policies, tasks, wakeup }: TaskParts,
): Promise<void> {
  const { log, plan, settings, globalTables, counts, group, recovery, idleTimeoutMs } = options;
  const { clock, logger } = settings;
  const globalStore = (name: string) => globalTables.store(name);
  for (const [index, plannedTask] of plans.entries()) {
    const state = states[index]!;
    const meters = counts.meters.task(plannedTask.id, group);
    const task = new Task({
      ...{ plan, task: plannedTask, state, outputs, policies, recovery, globalStore },
      ...{ idleTimeoutMs, meters, clock, wake: () => wakeup.wake() },
      logger: withFields(logger, { taskId: plannedTask.id }),
    });
    const left = committed.leftTimes.get(plannedTask.partition);
    if (left !== undefined) task.restoreTimes(left);
    for (const input of task.inputs) {
      const kept = committed.offsets.get(placeOf(input));
      const { earliest } = await offsetsOf(log, input.topic, input.partition);
      task.restore(input, kept?.offset ?? earliest, kept?.metadata ?? '');
    }
    tasks.push(task);
    task.init();
  }
}

/**
 * Lets the consumer read for these tasks, and nothing else: on from what it has fetched for a task
 * that it had before, and from the position of one that is new.
 */
export async function assign(consumer: Consumer, tasks: readonly Task[]): Promise<void> {
  const handles = new Map<string, Topic<unknown, unknown>>();
  for (const { plan } of tasks) {
    for (const { topic } of plan.inputs) handles.set(topic.name, topicHandle(topic));
  }
  const inputs = tasks.flatMap((task) => task.inputs);
  const places = inputs.map((input) => {
    const { topic, partition, position } = input;
    input.isPaused = false; // until its queue is found to be long
    const offset = consumer.position(input) ?? position;
    return { topic: present(handles.get(topic), 'inputs are planned'), partition, offset };
  });
  await consumer.assign(places);
}
