import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import {
  LogError,
  openLog,
  silentLogger,
  viewLog,
  type AlteredOffset,
  type OffsetTarget,
  type TopicView,
} from '../core/index.ts';
import { jobTopologies } from '../job/index.ts';
import {
  readStoredState,
  resetApplication,
  type StoredState,
  type StoredStore,
} from '../streams/index.ts';
import { keepWorking } from './closed-output.ts';
import { FORMATS } from './describe.ts';
import { loadJob } from './load-job.ts';
import { count, print, printJson } from './verify.ts';

/** Which application a command is about. */
export interface AppFlags {
  readonly app?: string;
  readonly stateDir?: string;
}

/** The flags of `millrace app topology`. */
export interface TopologyFlags extends AppFlags {
  readonly format: keyof typeof FORMATS;
  readonly diff?: string;
}

/** The flags of `millrace app reset`. */
export interface ResetFlags extends AppFlags {
  readonly toEarliest?: boolean;
  readonly toLatest?: boolean;
  readonly toOffset?: number;
  readonly toDatetime?: number;
  readonly byDuration?: number;
  readonly shiftBy?: number;
  readonly inputTopics?: readonly string[];
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Prints the topology that ran last, or what a job would change. */
export async function appTopologyCommand(directory: string, flags: TopologyFlags): Promise<void> {
  const { format, diff } = flags;
  if (diff === undefined) {
    const { topology } = await stateOf(directory, flags);
    process.stdout.write(FORMATS[format](topology));
    return;
  }
  if (format !== 'text' && format !== 'json') {
    throw invalid('format', format, 'text or json with --diff');
  }
  const job = await loadJob(diff);
  const topologies = jobTopologies(job);
  const chosen =
    topologies.length === 1
      ? topologies[0]
      : topologies.find(({ applicationId }) => applicationId === flags.app);
  if (chosen === undefined) {
    const known = topologies.map(({ applicationId }) => applicationId).join(', ') || 'it has none';
    throw invalid('app', flags.app ?? 'missing', `an application of job ${job.name}: ${known}`);
  }
  const { topology } = await stateOf(directory, { app: chosen.applicationId, ...flags });
  const { renamedStores = {} } = job.streams ?? {};
  const changes = chosen.topology.describe().diff(topology, { renamedStores });
  process.stdout.write(format === 'json' ? `${changes.toJson()}\n` : changes.toString());
  if (changes.effect === 'orphan' || changes.effect === 'misread') process.exitCode = 1;
}

/** Prints the stores of an application, and what each of its tasks has of them on the disk. */
export async function appStoresCommand(
  directory: string,
  flags: AppFlags & { readonly json?: boolean },
): Promise<void> {
  const { stores } = await stateOf(directory, flags);
  const topics = await (await viewLog(directory)).topics();
  const named = new Map(stores.map(({ store }) => [store.name, store]));
  for (const [name, { kind, key, value }] of named) {
    const parts = stores.filter(({ store }) => store.name === name);
    const topic = parts[0]?.topic;
    if (flags.json === true) {
      for (const part of parts) printJson(asJson(part, topics));
      continue;
    }
    print(`${name}  ${kind}, key ${key.name}, value ${value.name}, topic ${topic ?? 'none'}`);
    for (const part of parts) print(`  ${textOf(part, topics)}`);
  }
  if (named.size === 0 && flags.json !== true) print('no stores on the disk');
}

/** Makes an application begin anew. */
export async function appResetCommand(directory: string, flags: ResetFlags): Promise<void> {
  const to = targetOf(flags);
  const { applicationId, stateDir } = appIn(directory, flags);
  const { dryRun = false, json = false, inputTopics } = flags;
  if (!dryRun) keepWorking();
  await using log = await openLog(directory, { logger: silentLogger });
  const { offsets, deletedTopics, removedDirectory } = await resetApplication(log, {
    ...{ applicationId, to, dryRun },
    ...(stateDir !== undefined && { stateDir }),
    ...(inputTopics !== undefined && { inputTopics }),
  });
  if (json) {
    const removed = removedDirectory ?? null;
    printJson({ applicationId, dryRun, offsets, deletedTopics, removedDirectory: removed });
    return;
  }
  const [moved, gone] = dryRun ? ['would move', 'would delete'] : ['moved', 'deleted'];
  for (const each of offsets) print(`${moved}: ${moveOf(each)}`);
  for (const topic of deletedTopics) print(`${gone}: topic ${topic}`);
  if (removedDirectory !== undefined) print(`${gone}: state in ${removedDirectory}`);
  if (dryRun) print(`nothing of ${applicationId} was changed`);
  else print(`${applicationId} begins anew at its next start`);
}

/** Parses `P1DT2H3M4S`, as Kafka's tools take durations, into milliseconds. */
export function duration(value: string): number {
  const parts = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,3})?)S)?)?$/.exec(value);
  const numbers = (parts ?? []).slice(1).map((part: string | undefined) => Number(part ?? 0));
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = numbers;
  if (parts === null || value.endsWith('P') || value.endsWith('T')) {
    throw new InvalidArgumentError('It must be a duration such as PT1H30M or P7D.');
  }
  return Math.round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000);
}

/** Parses a date and time into milliseconds since 1970. */
export function dateTime(value: string): number {
  const timeMs = /^\d{4}-\d\d-\d\d/.test(value) ? Date.parse(value) : NaN;
  if (Number.isNaN(timeMs)) {
    throw new InvalidArgumentError('It must be a time such as 2026-11-30T12:00:00Z.');
  }
  return timeMs;
}

/** Parses a whole number that may be negative. */
export function distance(value: string): number {
  if (/^-?\d{1,15}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('It must be a whole number; a negative one goes back.');
}

/** Parses names that commas separate. */
export function topicList(value: string): readonly string[] {
  return value.split(',').filter((name) => name !== '');
}

/** @throws LogError INVALID_OPTION for several of them */
function targetOf(flags: ResetFlags): OffsetTarget {
  const { toLatest, toOffset, toDatetime, byDuration, shiftBy, toEarliest } = flags;
  const targets: Readonly<Record<string, OffsetTarget | undefined>> = {
    '--to-earliest': toEarliest === true ? 'earliest' : undefined,
    '--to-latest': toLatest === true ? 'latest' : undefined,
    '--to-offset': toOffset === undefined ? undefined : { offset: toOffset },
    '--to-datetime': toDatetime === undefined ? undefined : { timestampMs: toDatetime },
    '--by-duration': byDuration === undefined ? undefined : { durationMs: byDuration },
    '--shift-by': shiftBy === undefined ? undefined : { shiftBy },
  };
  const given = Object.entries(targets).filter(([, target]) => target !== undefined);
  if (given.length > 1) {
    const names = given.map(([name]) => name).join(' and ');
    throw invalid('to', names, 'one target at most');
  }
  return given[0]?.[1] ?? 'earliest';
}

interface AppPlace {
  readonly applicationId: string;
  readonly stateDir: string | undefined;
}

/**
 * The application that is named, or the only one of a data directory.
 *
 * @throws LogError INVALID_OPTION
 */
function appIn(directory: string, { app, stateDir }: AppFlags): AppPlace {
  if (app !== undefined) return { applicationId: app, stateDir };
  if (stateDir !== undefined) {
    throw invalid('app', 'missing', 'given with --state-dir');
  }
  const names = applicationsIn(directory);
  if (names.length === 1) return { applicationId: names[0]!, stateDir };
  const known = names.length === 0 ? `${directory} has none` : `there are ${names.join(', ')}`;
  throw invalid('app', 'missing', `the name of an application: ${known}`);
}

function applicationsIn(directory: string): string[] {
  const parent = join(directory, 'streams');
  return existsSync(parent) ? readdirSync(parent).sort() : [];
}

async function stateOf(directory: string, flags: AppFlags): Promise<StoredState> {
  const { applicationId, stateDir = join(directory, 'streams', applicationId) } = appIn(
    directory,
    flags,
  );
  const state = await readStoredState(stateDir);
  if (state !== undefined) return state;
  const names = applicationsIn(directory).join(', ') || 'none';
  throw invalid('app', applicationId, `an application that ran with this directory: ${names}`);
}

function textOf(part: StoredStore, topics: readonly TopicView[]): string {
  const { taskId, entries, bytes, checkpointOffset } = part;
  const lag = lagOf(part, topics);
  const checkpoint =
    checkpointOffset === undefined ? 'no checkpoint' : `checkpoint at offset ${checkpointOffset}`;
  const behind = lag === undefined ? '' : `, ${count(lag)} behind`;
  const entry = entries === 1 ? 'entry' : 'entries';
  return `${taskId}: ${count(entries)} ${entry}, ${count(bytes)} bytes, ${checkpoint}${behind}`;
}

function asJson(part: StoredStore, topics: readonly TopicView[]): object {
  const { store, taskId, topic, partition, entries, bytes, checkpointOffset } = part;
  const { name, kind, key, value } = store;
  return {
    ...{ store: name, kind, key: key.name, value: value.name, taskId },
    ...{ topic: topic ?? null, partition, entries, bytes },
    ...{ checkpointOffset: checkpointOffset ?? null, lag: lagOf(part, topics) ?? null },
  };
}

/** How many offsets of the topic a restart would read back. */
function lagOf(
  { topic, partition, checkpointOffset }: StoredStore,
  topics: readonly TopicView[],
): number | undefined {
  const partitions = topics.find((each) => each.topic === topic)?.partitions ?? [];
  const found = partitions.find((each) => each.partition === partition);
  if (found === undefined) return undefined;
  return Math.max(0, found.nextOffset - (checkpointOffset ?? found.firstOffset));
}

function moveOf({ topic, partition, from, to, isClamped }: AlteredOffset): string {
  const clamped = isClamped ? ' (the end that is next to it)' : '';
  return `${topic}-${partition} from offset ${from ?? 'none'} to ${to}${clamped}`;
}

function invalid(option: string, value: string, allowed: string): LogError {
  const message = `millrace app: ${option} must be ${allowed}, not ${value}`;
  return new LogError('INVALID_OPTION', message, { option, value, allowed });
}
