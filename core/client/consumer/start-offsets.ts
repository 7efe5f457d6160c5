import { LogError } from '../../errors.ts';
import type {
  BrokerApi,
  CommittedOffset,
  IsolationLevel,
  ListedOffset,
  OffsetSpec,
  TopicPartition,
} from '../../protocol/broker-api.ts';
import { partitionKey } from '../../protocol/topic-partition.ts';
import { throwFirst } from '../../protocol/answer-errors.ts';

/** A partition to be read, and from where if that is known. */
export interface Place extends TopicPartition {
  readonly offset?: number | undefined;
}

/**
 * Where to begin in a partition for which the group has committed nothing: at its first or behind
 * its last record, at the first one stamped `timestampMs` (milliseconds since 1970) or later, or
 * stamped at most `byDurationMs` ago (Kafka: KIP-1106); behind the last where there is none such.
 * With `none` it is an error.
 */
export type AutoOffsetReset =
  | 'earliest'
  | 'latest'
  | 'none'
  | { readonly timestampMs: number }
  | { readonly byDurationMs: number };

export interface StartOptions {
  readonly groupId: string | undefined;
  readonly isolationLevel: IsolationLevel;
  readonly autoOffsetReset: AutoOffsetReset;
}

/**
 * Where to begin, by partition key: where told, where the group stands, or where `autoOffsetReset`
 * says. Missing where a transaction is about to commit: it decides; ask again.
 *
 * @throws LogError OFFSET_OUT_OF_RANGE where nothing says where to begin.
 */
export async function startOffsets(
  api: BrokerApi,
  places: readonly Place[],
  options: StartOptions & { readonly nowMs: number },
): Promise<Map<string, number>> {
  const { groupId } = options;
  const unknown = places.filter(({ offset }) => offset === undefined);
  const { found, unstable } =
    groupId === undefined || unknown.length === 0
      ? NO_OFFSETS
      : await committedOffsets(api, { groupId, places: unknown, requireStable: true });
  const starts = new Map<string, number>();
  for (const place of places) {
    const key = partitionKey(place.topic, place.partition);
    if (unstable.has(key)) continue;
    const known = place.offset ?? found.get(key)?.offset;
    starts.set(key, known ?? (await resetOffset(api, place, options)));
  }
  return starts;
}

/**
 * Where `autoOffsetReset` leads.
 *
 * @throws LogError OFFSET_OUT_OF_RANGE with `none`.
 */
export async function resetOffset(
  api: BrokerApi,
  place: TopicPartition,
  options: Omit<StartOptions, 'groupId'> & { readonly nowMs: number },
): Promise<number> {
  const { autoOffsetReset: to, isolationLevel, nowMs } = options;
  if (to === 'none') throw noOffset(place);
  const spec =
    typeof to !== 'object' || 'timestampMs' in to ? to : { timestampMs: nowMs - to.byDurationMs };
  const [found] = await listedOffsets(api, [place], { spec, isolationLevel });
  if (found !== undefined && found.offset >= 0) return found.offset;
  const [end] = await listedOffsets(api, [place], { spec: 'latest', isolationLevel });
  return end?.offset ?? 0;
}

/** Committed offsets of a group, by partition key. */
interface GroupOffsets {
  /** Missing where the group has committed none. */
  readonly found: Map<string, CommittedOffset>;
  /** Where a transaction is about to commit. */
  readonly unstable: ReadonlySet<string>;
}

const NO_OFFSETS: GroupOffsets = { found: new Map(), unstable: new Set() };

/** What a group has committed; with `requireStable` not where a transaction may change it. */
export async function committedOffsets(
  api: BrokerApi,
  request: {
    readonly groupId: string;
    readonly places: readonly TopicPartition[];
    readonly requireStable: boolean;
  },
): Promise<GroupOffsets> {
  const { groupId, places, requireStable } = request;
  const partitions = places.map(({ topic, partition }) => ({ topic, partition }));
  const { offsets } = await api.offsetFetch({ groupId, partitions, requireStable });
  const found = new Map<string, CommittedOffset>();
  const unstable = new Set<string>();
  for (const { error, ...committed } of offsets) {
    const key = partitionKey(committed.topic, committed.partition);
    if (error?.code === 'UNSTABLE_OFFSET_COMMIT') unstable.add(key);
    else if (error !== undefined) throw LogError.fromData(error);
    else if (committed.offset >= 0) found.set(key, committed);
  }
  return { found, unstable };
}

/** The offsets that partitions have at `spec`, in their order; -1 where no record answers it. */
export async function listedOffsets(
  api: BrokerApi,
  places: readonly TopicPartition[],
  request: { readonly spec: OffsetSpec; readonly isolationLevel: IsolationLevel },
): Promise<readonly ListedOffset[]> {
  const { spec, isolationLevel } = request;
  const wanted = places.map(({ topic, partition }) => ({ topic, partition, spec }));
  const { partitions } = await api.listOffsets({ isolationLevel, partitions: wanted });
  throwFirst(partitions);
  return partitions;
}

function noOffset({ topic, partition }: TopicPartition): LogError {
  const message = `no offset is committed for ${topic}-${partition} and autoOffsetReset is 'none'`;
  const unknown = { offset: -1, logStartOffset: -1, highWatermark: -1 };
  return new LogError('OFFSET_OUT_OF_RANGE', message, { topic, partition, ...unknown });
}
