import { fileSource } from '../../connect/file/file-source.ts';
import type { SourceFormat } from '../../connect/file/format.ts';
import type { SourceBatch, SourceOffset, SourcePartition } from '../../connect/connector.ts';
import { json, string, systemClock, topic, type Clock, type FileSystem } from '../../core/index.ts';

const rows = topic('rows', { key: string(), value: json<unknown>(), partitions: 1 });

/** A batch as a run would commit it. */
export interface PolledBatch {
  readonly values: readonly unknown[];
  readonly partition: SourcePartition;
  readonly offset: SourceOffset;
}

export interface FollowOptions {
  readonly path: string;
  readonly format: SourceFormat<unknown>;
  /** One is taken each time the source starts to wait; after the last one it is stopped. */
  readonly steps: readonly (() => void)[];
  /** What earlier runs have committed. */
  readonly committed?: readonly PolledBatch[];
  /** How far the clock is ahead of the disk's: more than 100 ms, and files count as settled. */
  readonly aheadMs?: number;
  readonly minAgeMs?: number;
  readonly exclude?: readonly string[];
  readonly fileSystem?: FileSystem;
  readonly start?: 'beginning' | 'end';
}

/** Follows files as a run does, without time passing; returns the batches in order. */
export async function followFiles(options: FollowOptions): Promise<PolledBatch[]> {
  const { steps, committed = [], aheadMs = 0, ...source } = options;
  const stop = new AbortController();
  const left = [...steps];
  let passedMs = 0;
  const clock: Clock = {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + aheadMs + passedMs,
    monotonicMs: () => systemClock.monotonicMs() + passedMs,
    setTimer(delayMs, callback) {
      passedMs += delayMs;
      const step = left.shift();
      if (step === undefined) stop.abort();
      else step();
      return systemClock.setTimer(0, callback);
    },
  };
  const offsets = new Map(
    committed.map(({ partition, offset }) => [JSON.stringify(partition), { partition, offset }]),
  );
  const connector = fileSource({ ...source, topic: rows, key: () => null, follow: true });
  const [task] = await connector.open({
    offset: (partition) => offsets.get(JSON.stringify(partition))?.offset,
    partitions: () => [...offsets.values()].map(({ partition }) => partition),
    signal: stop.signal,
    clock,
  });
  const batches: PolledBatch[] = [];
  const add = ({ records, bad = [], partition, offset }: SourceBatch): void => {
    for (const { error } of bad) throw error;
    batches.push({ values: records.map(({ value }) => value), partition, offset });
  };
  try {
    for (let batch = await task?.poll(); batch !== undefined; batch = await task?.poll()) {
      add(batch);
    }
  } finally {
    await task?.close();
  }
  return batches;
}

/** The values of all batches. */
export function valuesOf(batches: readonly PolledBatch[]): unknown[] {
  return batches.flatMap(({ values }) => values);
}
