import {
  LogError,
  NULL_POSITION,
  type Log,
  type PartitionRecords,
  type RecordCursor,
  type Topic,
} from '../../core/index.ts';
import { offsetsOf } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import type { TaskState } from '../state/task-state.ts';
import type { TaskStore } from '../state/store-kind.ts';
import { deserializationFailed } from './record-failures.ts';
import type { RestoreProgress, StoreProgress } from './restore-progress.ts';
import { placeOf } from './topics.ts';

/** A store to restore, and how far. */
export interface StoreRestore {
  readonly taskId: string;
  readonly state: TaskState;
  readonly store: TaskStore;
  readonly topic: Topic<unknown, unknown>;
  readonly partition: number;
  /** Where to stop: the end of the changelog, or the committed offset of a table's own topic. */
  readonly endOffset: number | undefined;
  /** The event time reached for the store: what has expired by then is dropped. */
  readonly timeMs: number;
  /** True for a table's own topic whose unreadable records the source drops, as is done here. */
  readonly dropsUnreadable: boolean;
}

export interface RestoreOptions {
  readonly applicationId: string;
  /** Clean entries that a store keeps in memory. */
  readonly cacheEntriesMax: number;
  /** How many changes may wait for a checkpoint during a restore. */
  readonly tailMax: number;
  /** Tells how far it is. */
  readonly progress: RestoreProgress;
  /** True if it is to stop, with what is restored by then kept. */
  readonly mustStop: () => boolean;
}

/**
 * Reads what the checkpoints of these stores lack: the committed tail of each changelog.
 *
 * @throws StreamsError STATE_AHEAD if a checkpoint is ahead of its changelog: the log has lost
 *   data, and results would silently differ.
 * @throws LogError UNSTABLE_OFFSET_COMMIT, which is retriable, while a changelog has an open
 *   transaction: only the task writes to it, so what that holds is the end of what it did before.
 * @throws StreamsError STARTING_OVER if it was to stop.
 * @throws StreamsError DESERIALIZATION_FAILED if a store's serde cannot read what another has
 *   written.
 */
export async function restoreStores(
  log: Log,
  restores: readonly StoreRestore[],
  options: RestoreOptions,
): Promise<void> {
  const started: StartedRestore[] = [];
  const changelogs = restores.filter(({ endOffset }) => endOffset === undefined);
  const ends = await endsOf(log, changelogs);
  for (const restore of restores) {
    const { topic, partition, state, store } = restore;
    const { earliest, latest } = await offsetsOf(log, topic.name, partition);
    const end = ends.get(placeOf({ topic: topic.name, partition }));
    if (end !== undefined && end > latest) {
      throw stillOpen(options.applicationId, topic.name, partition);
    }
    const kept = state.changelogOffset(store.spec.name);
    if (kept !== undefined && kept > latest) throw stateAhead(store, kept, latest);
    const endOffset = Math.min(restore.endOffset ?? latest, latest);
    started.push({ ...restore, end: endOffset, offset: Math.max(kept ?? 0, earliest) });
  }
  await readBack(log, started, options);
  // Windows whose result was forwarded before the last commit: the checkpoint may be older.
  for (const { store, timeMs, state } of restores) {
    store.expire(timeMs);
    state.committed.find(store.spec.name)?.expire(timeMs);
  }
}

/** A store during its restore. */
interface StartedRestore extends StoreRestore {
  readonly end: number;
  /** The next changelog offset. */
  offset: number;
}

async function readBack(
  log: Log,
  restores: readonly StartedRestore[],
  { applicationId, cacheEntriesMax, tailMax, progress, mustStop }: RestoreOptions,
): Promise<void> {
  const waiting = new Map<string, StartedRestore>();
  for (const restore of restores) {
    const { topic, partition, offset, end } = restore;
    if (offset < end) waiting.set(placeOf({ topic: topic.name, partition }), restore);
  }
  if (waiting.size === 0) return;
  const told = new Map([...waiting].map(([place, restore]) => [place, begin(restore, progress)]));
  const keep = (state: TaskState): void => keepRestored(restores, state, cacheEntriesMax);
  try {
    await using consumer = log.consumer({ isolationLevel: 'read_committed' });
    await consumer.assign([...waiting.values()]);
    while (waiting.size > 0) {
      if (mustStop()) {
        for (const state of new Set(restores.map((each) => each.state))) keep(state);
        throw interrupted(applicationId);
      }
      for (const batch of await consumer.pollBatches({ maxWaitMs: 100 })) {
        const restore = waiting.get(placeOf(batch));
        const tell = told.get(placeOf(batch));
        if (restore === undefined || tell === undefined) continue;
        const { state, end } = restore;
        restoreBatch(restore, batch);
        tell.advance(restore.offset);
        if (restore.offset >= end) {
          waiting.delete(placeOf(batch));
          consumer.pause([batch]);
        }
        // A long tail: all of it is committed, so it may go into a checkpoint at once.
        if (state.tailCount > tailMax) keep(state);
      }
    }
  } finally {
    for (const tell of told.values()) tell.suspend();
  }
}

function begin(restore: StartedRestore, progress: RestoreProgress): StoreProgress {
  const { taskId, store, topic, partition, offset, end } = restore;
  const place = { taskId, store: store.spec.name, topic: topic.name, partition };
  return progress.begin(place, offset, end);
}

/** Puts what was read back of a task into a checkpoint. */
function keepRestored(
  restores: readonly StartedRestore[],
  state: TaskState,
  cacheEntriesMax: number,
): void {
  const siblings = restores.filter((each) => each.state === state);
  for (const sibling of siblings) sibling.store.expire(sibling.timeMs);
  const offsets = siblings.map(({ store, offset }) => [store.spec.name, offset] as const);
  state.checkpoint(Object.fromEntries(offsets), cacheEntriesMax);
}

function interrupted(applicationId: string): StreamsError {
  const message =
    `${applicationId} ends while its state is read back; what was read so far is kept, and the ` +
    'next start goes on there';
  return new StreamsError('STARTING_OVER', message, { node: '', pauseMs: 0, isRetry: false });
}

function restoreBatch(restore: StartedRestore, batch: PartitionRecords): void {
  const { state, end } = restore;
  while (batch.next()) {
    if (batch.cursor.offset >= end) break;
    restoreRecord(restore, batch.cursor);
    state.tailCount++;
  }
  restore.offset = Math.min(batch.endOffset, end);
}

function restoreRecord(restore: StoreRestore, cursor: RecordCursor): void {
  const { store, state, topic, partition } = restore;
  const { source, keyStart, keyEnd, valueStart, valueEnd, offset, timestampMs } = cursor;
  if (keyStart === NULL_POSITION) return;
  const isNull = valueStart === NULL_POSITION;
  const value = isNull ? undefined : source.subarray(valueStart, valueEnd);
  try {
    const key = source.subarray(keyStart, keyEnd);
    store.restore(key, value, timestampMs);
    state.committed.find(store.spec.name)?.restore(key, value, timestampMs);
  } catch (cause) {
    if (restore.dropsUnreadable) return; // counted, or a dead letter, before the last commit
    const place = { topic: topic.name, partition, offset, field: 'value' } as const;
    throw deserializationFailed(place, store.spec.value, cause);
  }
}

/** The ends of partitions, open transactions included. */
async function endsOf(
  log: Log,
  restores: readonly StoreRestore[],
): Promise<ReadonlyMap<string, number>> {
  const { partitions } = await log.api.listOffsets({
    isolationLevel: 'read_uncommitted',
    partitions: restores.map(({ topic: { name: topic }, partition }) => {
      return { topic, partition, spec: 'latest' as const };
    }),
  });
  for (const { error } of partitions) if (error !== undefined) throw LogError.fromData(error);
  return new Map(partitions.map((each) => [placeOf(each), each.offset]));
}

function stillOpen(groupId: string, topic: string, partition: number): LogError {
  const message =
    `${topic}-${partition} has an open transaction of whoever had the task before: its stores ` +
    'can be restored when that has ended';
  return new LogError('UNSTABLE_OFFSET_COMMIT', message, { groupId, topic, partition });
}

function stateAhead(store: TaskStore, storeOffset: number, changelogEnd: number): StreamsError {
  const { name } = store.spec;
  const message =
    `store ${name} stands for its changelog up to offset ${storeOffset}, but that ends at ` +
    `${changelogEnd}: the log has lost records; remove the state directory to rebuild from what ` +
    'is left';
  return new StreamsError('STATE_AHEAD', message, { store: name, storeOffset, changelogEnd });
}
