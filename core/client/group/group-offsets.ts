import { LogError } from '../../errors.ts';
import type {
  BrokerApi,
  GroupDescription,
  OffsetSpec,
  TopicPartition,
} from '../../protocol/broker-api.ts';
import { partitionKey } from '../../protocol/topic-partition.ts';
import { checkOptions, flag, type OptionChecks } from '../../options.ts';
import { throwFirst } from '../../protocol/answer-errors.ts';

/** Where a group stands in a partition. */
export interface GroupOffset extends TopicPartition {
  /** The next offset that the group will read. */
  readonly offset: number;
  /** What was committed beside it. */
  readonly metadata: string;
  /** The offset that the partition's next record gets. */
  readonly logEndOffset: number;
  /** How many offsets there are between the two: records, and what ends transactions. */
  readonly lag: number;
}

/**
 * Where a group is to go on, as Kafka's `kafka-consumer-groups --reset-offsets` has it:
 *
 * - `earliest`, `latest`: the first offset that can be read, or the one behind the last;
 * - `current`: where it stands, within what the log still has;
 * - `offset`: this one;
 * - `timestampMs`: the first record stamped then (milliseconds since 1970) or later;
 * - `durationMs`: the same, so many milliseconds ago;
 * - `shiftBy`: so many offsets forward, or back if below 0.
 */
export type OffsetTarget =
  | 'earliest'
  | 'latest'
  | 'current'
  | { readonly offset: number }
  | { readonly timestampMs: number }
  | { readonly durationMs: number }
  | { readonly shiftBy: number };

/** What `alterGroupOffsets` is to do. */
export interface AlterGroupOffsets {
  readonly to: OffsetTarget;
  /** Whole topics, or single partitions. Default: all that the group has committed. */
  readonly of?: readonly (string | TopicPartition)[];
  /** Only says what would be done. */
  readonly dryRun?: boolean;
}

/** What becomes of one partition. */
export interface AlteredOffset extends TopicPartition {
  /** Where the group stood; undefined where it had committed nothing. */
  readonly from: number | undefined;
  readonly to: number;
  /** True when the target lies outside of the log, and `to` is the end that is next to it. */
  readonly isClamped: boolean;
}

/** The targets that are an object, by their one field. */
const TARGET_FIELDS: readonly string[] = ['offset', 'timestampMs', 'durationMs', 'shiftBy'];

const CHECKS: OptionChecks<AlterGroupOffsets> = {
  to: (value) => (isTarget(value) ? undefined : ALLOWED_TARGETS),
  of: (value) => (Array.isArray(value) ? undefined : 'a list of topics or partitions'),
  dryRun: flag,
};
const ALLOWED_TARGETS =
  '"earliest", "latest", "current", or an object with an integer as its one field: ' +
  TARGET_FIELDS.join(' or ');

/** What a group has committed, and how far behind the ends of the logs that is. */
export async function listGroupOffsets(api: BrokerApi, groupId: string): Promise<GroupOffset[]> {
  const { offsets } = await api.offsetFetch({ groupId, requireStable: false });
  throwFirst(offsets);
  if (offsets.length === 0) await describeGroup(api, groupId);
  const ends = await listed(api, offsets, 'latest');
  return offsets.map(({ topic, partition, offset, metadata }) => {
    const logEndOffset = ends.get(partitionKey(topic, partition)) ?? offset;
    const lag = Math.max(0, logEndOffset - offset);
    return { topic, partition, offset, metadata, logEndOffset, lag };
  });
}

/** Says where a group without members goes on; with `dryRun` only what that would be. */
export async function alterGroupOffsets(
  api: BrokerApi,
  groupId: string,
  request: AlterGroupOffsets,
  nowMs: number,
): Promise<AlteredOffset[]> {
  checkOptions('alterGroupOffsets', request, CHECKS);
  if (!isTarget(request.to)) throw badTarget(request.to, ALLOWED_TARGETS);
  await checkInactive(api, groupId, request.of !== undefined);
  const { offsets: committed } = await api.offsetFetch({ groupId, requireStable: false });
  const from = new Map(
    committed.map(({ topic, partition, offset }) => [partitionKey(topic, partition), offset]),
  );
  const places = request.of === undefined ? committed : await placesOf(api, request.of);
  const wanted = await targets(api, places, { to: request.to, nowMs, from });
  const [starts, ends] = await Promise.all([
    listed(api, places, 'earliest'),
    listed(api, places, 'latest'),
  ]);
  const plan = places.map(({ topic, partition }): AlteredOffset => {
    const key = partitionKey(topic, partition);
    const [start, end] = [starts.get(key) ?? 0, ends.get(key) ?? 0];
    const target = wanted.get(key) ?? end; // nothing is stamped so late: behind all there is
    const to = Math.min(Math.max(target, start), end);
    return { topic, partition, from: from.get(key), to, isClamped: to !== target };
  });
  if (request.dryRun !== true) await commit(api, groupId, plan);
  return plan;
}

/** The group, as the broker describes it. @throws LogError GROUP_ID_NOT_FOUND */
export async function describeGroup(api: BrokerApi, groupId: string): Promise<GroupDescription> {
  const { groups } = await api.describeGroups({ groupIds: [groupId] });
  throwFirst(groups);
  return groups[0] as GroupDescription;
}

async function checkInactive(api: BrokerApi, groupId: string, mayBeNew: boolean): Promise<void> {
  const { groups } = await api.describeGroups({ groupIds: [groupId] });
  if (!mayBeNew) throwFirst(groups);
  const state = groups[0]?.state ?? 'Dead';
  if (state !== 'Empty' && state !== 'Dead') throw notInactive(groupId, state);
}

async function commit(
  api: BrokerApi,
  groupId: string,
  plan: readonly AlteredOffset[],
): Promise<void> {
  const offsets = plan.map(({ topic, partition, to }) => {
    return { topic, partition, offset: to, metadata: '' };
  });
  const outside = { groupId, memberId: '', generation: -1 };
  try {
    throwFirst((await api.offsetCommit({ ...outside, offsets })).results);
  } catch (cause) {
    // Somebody joined meanwhile.
    if (LogError.is(cause, 'UNKNOWN_MEMBER_ID')) throw notInactive(groupId, 'Stable');
    throw cause;
  }
}

/** The partitions of topics and single partitions, each once. */
async function placesOf(
  api: BrokerApi,
  of: readonly (string | TopicPartition)[],
): Promise<TopicPartition[]> {
  const topics = [...new Set(of.filter((each) => typeof each === 'string'))];
  const described = topics.length === 0 ? [] : (await api.metadata({ topics })).topics;
  throwFirst(described);
  const places = new Map<string, TopicPartition>();
  for (const { topic, partitions } of described) {
    for (let partition = 0; partition < partitions; partition++) {
      places.set(partitionKey(topic, partition), { topic, partition });
    }
  }
  for (const each of of) {
    if (typeof each !== 'string') places.set(partitionKey(each.topic, each.partition), each);
  }
  return [...places.values()];
}

/** Where the target lies in each partition, in the log or not; missing where no record is there. */
async function targets(
  api: BrokerApi,
  places: readonly TopicPartition[],
  request: {
    readonly to: OffsetTarget;
    readonly nowMs: number;
    readonly from: ReadonlyMap<string, number>;
  },
): Promise<Map<string, number>> {
  const { to, nowMs, from } = request;
  if (to === 'earliest' || to === 'latest') return listed(api, places, to);
  if (to !== 'current' && 'timestampMs' in to) return listed(api, places, to);
  if (to !== 'current' && 'durationMs' in to) {
    return listed(api, places, { timestampMs: nowMs - to.durationMs });
  }
  const wanted = new Map<string, number>();
  for (const { topic, partition } of places) {
    const key = partitionKey(topic, partition);
    if (to !== 'current' && 'offset' in to) {
      wanted.set(key, to.offset);
      continue;
    }
    const current = from.get(key);
    if (current === undefined) {
      throw badTarget(to, `another target, because nothing is committed for ${key}`);
    }
    wanted.set(key, to === 'current' ? current : current + to.shiftBy);
  }
  return wanted;
}

/** What the partitions have at a spec, by partition key; missing where no record answers it. */
async function listed(
  api: BrokerApi,
  places: readonly TopicPartition[],
  spec: OffsetSpec,
): Promise<Map<string, number>> {
  const partitions = places.map(({ topic, partition }) => ({ topic, partition, spec }));
  const answer = await api.listOffsets({ isolationLevel: 'read_uncommitted', partitions });
  throwFirst(answer.partitions);
  const found = answer.partitions.filter(({ offset }) => offset >= 0);
  return new Map(
    found.map(({ topic, partition, offset }) => [partitionKey(topic, partition), offset]),
  );
}

function isTarget(value: unknown): value is OffsetTarget {
  if (value === 'earliest' || value === 'latest' || value === 'current') return true;
  if (typeof value !== 'object' || value === null) return false;
  const [field, ...more] = Object.entries(value);
  if (field === undefined || more.length > 0) return false;
  const [name, number] = field as [string, unknown];
  return TARGET_FIELDS.includes(name) && Number.isSafeInteger(number);
}

function badTarget(value: unknown, allowed: string): LogError {
  const shown = JSON.stringify(value);
  const message = `alterGroupOffsets: to must be ${allowed}, not ${shown}`;
  return new LogError('INVALID_OPTION', message, { option: 'to', value: shown, allowed });
}

function notInactive(groupId: string, state: string): LogError {
  const message = `group ${groupId} is ${state}: its offsets move only while it has no members`;
  return new LogError('NON_EMPTY_GROUP', message, { groupId, state });
}
