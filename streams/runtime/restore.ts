import { LogError, NULL_POSITION, type Log, type Topic } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { TaskState } from '../state/task-state.ts';
import { TaskWindowStore, type TaskStore } from '../state/stores.ts';

/** A store that is to be read back, and how far. */
export interface StoreRestore {
  readonly state: TaskState;
  readonly store: TaskStore;
  readonly topic: Topic<unknown, unknown>;
  readonly partition: number;
  /** Where to stop: the end of the changelog, or for a table's own topic what has been processed. */
  readonly endOffset: number | undefined;
  /** How far event time had come at the last commit: windows that had closed by then are left out. */
  readonly streamTimeMs: number;
}

/** How many entries may wait for a checkpoint while a store is read back. */
const PENDING_MAX = 100_000;

/**
 * Reads back what the checkpoints of these stores lack: the committed tail of each changelog.
 *
 * @throws StreamsError STATE_AHEAD when a checkpoint stands for more than the changelog holds: the log has
 *   lost data, and results would silently differ.
 */
export async function restoreStores(
  log: Log,
  restores: readonly StoreRestore[],
  cacheEntriesMax: number,
): Promise<void> {
  const byPlace = new Map<string, StoreRestore & { readonly end: number }>();
  const assignments: { topic: Topic<unknown, unknown>; partition: number; offset: number }[] = [];
  for (const restore of restores) {
    const { topic, partition, state, store } = restore;
    const { earliest, latest } = await offsetsOf(log, topic.name, partition);
    const kept = state.changelogOffset(store.spec.name);
    if (kept !== undefined && kept > latest) throw stateAhead(store, kept, latest);
    const end = Math.min(restore.endOffset ?? latest, latest);
    const offset = Math.max(kept ?? 0, earliest);
    if (offset >= end) continue;
    byPlace.set(`${topic.name}-${partition}`, { ...restore, end });
    assignments.push({ topic, partition, offset });
  }
  if (assignments.length > 0) await readBack(log, byPlace, assignments, cacheEntriesMax);
  for (const { store, streamTimeMs } of restores) dropClosed(store, streamTimeMs);
}

async function readBack(
  log: Log,
  byPlace: ReadonlyMap<string, StoreRestore & { readonly end: number }>,
  assignments: readonly { topic: Topic<unknown, unknown>; partition: number; offset: number }[],
  cacheEntriesMax: number,
): Promise<void> {
  await using consumer = log.consumer({ isolationLevel: 'read_committed' });
  await consumer.assign(assignments);
  const waiting = new Set(byPlace.keys());
  while (waiting.size > 0) {
    for (const batch of await consumer.pollBatches({ maxWaitMs: 100 })) {
      const place = `${batch.topic}-${batch.partition}`;
      const restore = byPlace.get(place);
      if (restore === undefined || !waiting.has(place)) continue;
      const { store, state, end } = restore;
      while (batch.next()) {
        const { cursor } = batch;
        if (cursor.offset >= end) break;
        const { source, keyStart, keyEnd, valueStart, valueEnd } = cursor;
        if (keyStart === NULL_POSITION) continue;
        const isNull = valueStart === NULL_POSITION;
        const value = isNull ? undefined : source.subarray(valueStart, valueEnd);
        store.restore(source.subarray(keyStart, keyEnd), value, cursor.timestampMs);
      }
      if (batch.endOffset >= end) {
        waiting.delete(place);
        consumer.pause([batch]);
      }
      if (state.pendingCount > PENDING_MAX) {
        // A long way back: what is read is committed, so it may go into a checkpoint at once.
        dropClosed(store, restore.streamTimeMs);
        const offset = Math.min(batch.endOffset, end);
        state.checkpoint({ [store.spec.name]: offset }, cacheEntriesMax);
      }
    }
  }
}

/** Windows whose result was passed on before the last commit: the checkpoint may be older than that. */
function dropClosed(store: TaskStore, streamTimeMs: number): void {
  if (!(store instanceof TaskWindowStore)) return;
  const { windowLifeMs = 0 } = store.spec;
  for (const startMs of store.windowStarts()) {
    if (startMs + windowLifeMs <= streamTimeMs) store.drop(startMs);
  }
}

/** Where a partition begins and ends for readers of committed data. */
export async function offsetsOf(
  log: Log,
  topic: string,
  partition: number,
): Promise<{ readonly earliest: number; readonly latest: number }> {
  const { partitions } = await log.api.listOffsets({
    isolationLevel: 'read_committed',
    partitions: [
      { topic, partition, spec: 'earliest' },
      { topic, partition, spec: 'latest' },
    ],
  });
  for (const { error } of partitions) if (error !== undefined) throw LogError.fromData(error);
  return { earliest: partitions[0]?.offset ?? 0, latest: partitions[1]?.offset ?? 0 };
}

function stateAhead(store: TaskStore, storeOffset: number, changelogEnd: number): StreamsError {
  const { name } = store.spec;
  const message =
    `store ${name} stands for its changelog up to offset ${storeOffset}, but that ends at ` +
    `${changelogEnd}: the log has lost records; remove the state directory to rebuild from what is left`;
  return new StreamsError('STATE_AHEAD', message, { store: name, storeOffset, changelogEnd });
}
