import { LogError } from '../errors.ts';
import type {
  BrokerApi,
  CommittedOffset,
  IsolationLevel,
  OffsetSpec,
  TopicPartition,
} from '../broker/broker-api.ts';
import { partitionKey } from '../broker/checkpoint-file.ts';

/** A partition to be read, and from where if that is known. */
export interface Place extends TopicPartition {
  readonly offset?: number | undefined;
}

export interface StartOptions {
  readonly groupId: string | undefined;
  readonly isolationLevel: IsolationLevel;
  readonly autoOffsetReset: 'earliest' | 'latest' | 'none';
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
  options: StartOptions,
): Promise<Map<string, number>> {
  const { groupId, isolationLevel, autoOffsetReset } = options;
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
    if (known === undefined && autoOffsetReset === 'none') throw noOffset(place);
    const spec = autoOffsetReset === 'latest' ? 'latest' : 'earliest';
    starts.set(key, known ?? (await listedOffset(api, place, { spec, isolationLevel })));
  }
  return starts;
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

/** The offset that a partition has at `spec`. */
export async function listedOffset(
  api: BrokerApi,
  { topic, partition }: TopicPartition,
  request: { readonly spec: OffsetSpec; readonly isolationLevel: IsolationLevel },
): Promise<number> {
  const { spec, isolationLevel } = request;
  const place = { topic, partition, spec };
  const { partitions } = await api.listOffsets({ isolationLevel, partitions: [place] });
  const [found] = partitions;
  if (found?.error !== undefined) throw LogError.fromData(found.error);
  return found?.offset ?? 0;
}

function noOffset({ topic, partition }: TopicPartition): LogError {
  const message = `no offset is committed for ${topic}-${partition} and autoOffsetReset is 'none'`;
  const unknown = { offset: -1, logStartOffset: -1, highWatermark: -1 };
  return new LogError('OFFSET_OUT_OF_RANGE', message, { topic, partition, ...unknown });
}
