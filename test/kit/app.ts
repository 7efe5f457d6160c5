import { onTestFinished } from 'vitest';
import {
  nodeFileSystem,
  openLog,
  silentLogger,
  systemClock,
  type EmbeddedLog,
  type Log,
  type OpenLogOptions,
  type Topic,
} from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { StreamsApp, type StreamsOptions, type Topology } from '../../streams/index.ts';
import { readTopic } from './read-topic.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/**
 * Opens a log that is closed when the test ends; without a directory it is in memory, where a
 * commit waits for no disk. (The state of its applications is on the disk in any case.)
 */
export async function openTestLog(
  options: OpenLogOptions & { readonly directory?: string } = {},
): Promise<EmbeddedLog> {
  const { directory = temporaryDirectory(), ...rest } = options;
  const fileSystem = options.directory === undefined ? new MemoryFileSystem() : nodeFileSystem;
  const log = await openLog(directory, { fileSystem, logger: silentLogger, ...rest });
  onTestFinished(() => log.close());
  return log;
}

/** Writes records to a topic: key, value, time, partition. */
export async function produce<K, V>(
  log: Log,
  topic: Topic<K, V>,
  rows: Iterable<
    readonly [key: K | null, value: V | null, timestampMs: number, partition?: number]
  >,
): Promise<void> {
  await using producer = log.producer();
  const records = [...rows].map(([key, value, timestampMs, partition]) => {
    return { key, value, timestampMs, ...(partition !== undefined && { partition }) };
  });
  await producer.sendAll(topic, records);
}

/** An application that is closed when the test ends. */
export function makeApp(
  log: Log,
  topology: Topology,
  options: Partial<StreamsOptions> = {},
): StreamsApp {
  const app = new StreamsApp(log, topology, { applicationId: 'app', ...options });
  onTestFinished(async () => {
    await app.close();
  });
  return app;
}

/** Runs an application until its input has ended. */
export async function runToEnd(
  log: Log,
  topology: Topology,
  options: Partial<StreamsOptions> = {},
): Promise<StreamsApp> {
  const app = makeApp(log, topology, options);
  await app.start();
  await app.finish();
  return app;
}

/** `key value @time` of all records that readers of committed data see. */
export async function committedRows(
  log: Log,
  topic: Topic<string | number, string | number>,
): Promise<string[]> {
  const records = await readTopic(log, topic, 'read_committed');
  return records.map(({ key, value, timestampMs }) => `${key} ${value} @${timestampMs}`);
}

/** Polls until `isTrue`; fails after some seconds. */
export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 10_000;
  for (let waitMs = 1; !(await isTrue()); waitMs = Math.min(waitMs + 1, 5)) {
    if (systemClock.monotonicMs() > deadlineMs)
      throw new TypeError(`not within 10 s: ${String(isTrue)}`);
    await sleep(systemClock, waitMs);
  }
}
