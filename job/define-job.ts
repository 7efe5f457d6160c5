import { LogError, type AnyTopic } from '../core/index.ts';
import {
  anything,
  callback,
  checkOptions,
  flag,
  instance,
  listOf,
  show,
  type OptionCheck,
  type OptionChecks,
} from '../core/internal.ts';
import type {
  SinkConnector,
  SinkRunnerOptions,
  SourceConnector,
  SourceRunnerOptions,
} from '../connect/index.ts';
import type { StreamsBuilder, StreamsOptions } from '../streams/index.ts';
import { checkedSchedule, type JobSchedule } from './schedule.ts';

/** A source of a job, and how it is run: what becomes of bad input and failures, transforms. */
export interface JobSource<T extends AnyTopic = AnyTopic> extends Omit<
  SourceRunnerOptions,
  'signal' | 'clock' | 'logger'
> {
  readonly source: SourceConnector<T>;
}

/** A sink of a job, and how it is run. */
export interface JobSink<T extends AnyTopic = AnyTopic> extends Omit<
  SinkRunnerOptions,
  'signal' | 'clock' | 'logger'
> {
  readonly sink: SinkConnector<T>;
}

/** What all jobs have. */
export interface JobSettings {
  /** Names the job, its application and its state: a-z A-Z 0-9 . _ - */
  readonly name: string;
  /**
   * When `millrace run` and `runScheduled` run the job: a cron expression, or more about it. The
   * sources must end. Default: once, at once.
   */
  readonly schedule?: string | JobSchedule;
}

/** The sources of a job: a list, or a single one. */
export type JobSources<T extends AnyTopic = AnyTopic> =
  | { readonly sources: readonly (SourceConnector<T> | JobSource<T>)[]; readonly source?: never }
  | { readonly source: SourceConnector<T> | JobSource<T>; readonly sources?: never };

/** The sinks of a job: a list, or a single one. */
export type JobSinks<T extends AnyTopic = AnyTopic> =
  | { readonly sinks: readonly (SinkConnector<T> | JobSink<T>)[]; readonly sink?: never }
  | { readonly sink: SinkConnector<T> | JobSink<T>; readonly sinks?: never };

/** Builds a topology between the topics of the sources and those of the sinks. */
export type BuildTopology = (builder: StreamsBuilder) => void;

/** A job: its sources, the topology that processes their records, and its sinks. */
export type JobDefinition = JobSettings &
  JobSources &
  JobSinks & {
    /** Settings of each application, such as `{ commitIntervalMs: 500 }`. Default: none. */
    readonly streams?: Omit<StreamsOptions, 'applicationId' | 'stateDir'>;
  } & (
    | { readonly topology: BuildTopology; readonly topologies?: never }
    | {
        /**
         * Several topologies by name, each an application of its own, `<job>.<name>`: they commit
         * by themselves, and one may read what another one writes.
         */
        readonly topologies: Readonly<Record<string, BuildTopology>>;
        readonly topology?: never;
      }
  );

/** A job without a topology: its sinks read what its sources write. */
export type CopyDefinition<T extends AnyTopic> = JobSettings &
  JobSources<T> &
  JobSinks<NoInfer<T>> & {
    /**
     * True keeps what is copied in the topics between sources and sinks, as their settings say.
     * Otherwise what all sinks have committed is deleted there, unless a consumer group has yet to
     * read it. Default: false.
     */
    readonly keepTopics?: boolean;
    readonly topology?: never;
    readonly topologies?: never;
  };

/** A checked definition: run it with `runJob`, or from the command line with `millrace run`. */
export interface Job extends JobSettings {
  readonly schedule?: Required<JobSchedule>;
  readonly sources: readonly (SourceConnector | JobSource)[];
  readonly topology?: BuildTopology | undefined;
  readonly topologies?: Readonly<Record<string, BuildTopology>> | undefined;
  readonly sinks: readonly (SinkConnector | JobSink)[];
  readonly keepTopics?: boolean | undefined;
  readonly streams?: Omit<StreamsOptions, 'applicationId' | 'stateDir'> | undefined;
  /** Distinguishes a job from other exports of a file. */
  readonly isJob: true;
}

/** All that a definition may have, whatever goes together. */
interface AnyDefinition extends Partial<Omit<Job, 'isJob' | 'name' | 'schedule'>>, JobSettings {
  readonly source?: SourceConnector | JobSource | undefined;
  readonly sink?: SinkConnector | JobSink | undefined;
}

const NAME = /^[\w.-]{1,180}$/;

const topologies: OptionCheck = (value) => {
  const allowed = 'an object with a function for each topology, by names of a-z A-Z 0-9 . _ -';
  if (instance(value) !== undefined || Array.isArray(value)) return allowed;
  const entries = Object.entries(value as object);
  const areNamed = entries.every(([name, each]) => NAME.test(name) && typeof each === 'function');
  return areNamed && entries.length > 0 ? undefined : allowed;
};

const CHECKS: OptionChecks<AnyDefinition> = {
  name: (value) =>
    typeof value === 'string' && NAME.test(value)
      ? undefined
      : 'a name of a-z A-Z 0-9 . _ -, since topics and directories are named after it',
  source: instance,
  sources: (value) => (Array.isArray(value) && value.length > 0 ? undefined : 'a list of sources'),
  topology: callback,
  topologies,
  sink: instance,
  sinks: listOf('sinks'),
  keepTopics: flag,
  streams: instance,
  schedule: anything,
};

/**
 * Defines a job: the default export of a file for `millrace run`. Nothing runs yet.
 *
 * Without a topology it is a copy: each sink gets what the sources write to its topic.
 *
 * @example
 * export default defineJob({
 *   name: 'flight-delays',
 *   sources: [fileSource({ path: '*.csv', format: csv(), topic: flights, key: keyOfFlight })],
 *   topology: (builder) => { builder.stream(flights)... },
 *   sinks: [fileSink({ topic: delays, path: 'out/delays', format: jsonl() })],
 * });
 * @throws LogError UNKNOWN_OPTION with the nearest name, INVALID_OPTION
 */
export function defineJob(definition: JobDefinition): Job;
export function defineJob<T extends AnyTopic>(definition: CopyDefinition<T>): Job;
export function defineJob(definition: AnyDefinition): Job {
  checkOptions('defineJob', definition, CHECKS, ['name']);
  const { source, sink, schedule, ...others } = definition;
  const job: Job = {
    ...others,
    sources: listed('sources', definition.sources, 'source', source),
    sinks: listed('sinks', definition.sinks, 'sink', sink),
    ...(schedule !== undefined && { schedule: checkedSchedule(schedule) }),
    isJob: true,
  };
  checkTopologies(job);
  checkEnds(job);
  checkNames('sources', job.sources.map(sourceOf));
  checkNames('sinks', job.sinks.map(sinkOf));
  return job;
}

/** The list, or the single one that stands for a list. */
function listed<C>(
  several: string,
  list: readonly C[] | undefined,
  single: string,
  one: C | undefined,
): readonly C[] {
  if (list !== undefined && one !== undefined) {
    refuse(single, one, `left out if there are ${several}`);
  }
  if (list !== undefined) return list;
  if (one !== undefined) return [one];
  const allowed = `a list of ${several}, or else ${single} must be given`;
  const message = `defineJob: ${several} is missing; it must be ${allowed}`;
  throw new LogError('INVALID_OPTION', message, { option: several, value: 'undefined', allowed });
}

/** @throws LogError INVALID_OPTION for parts that do not go together. */
function checkTopologies(job: Job): void {
  const { topology, topologies: several, keepTopics, streams } = job;
  if (topology !== undefined && several !== undefined) {
    refuse('topologies', several, 'left out if there is a topology');
  }
  if (!isCopy(job)) {
    if (keepTopics !== undefined) {
      refuse('keepTopics', keepTopics, 'left out with a topology: only a copy deletes anything');
    }
    return;
  }
  if (streams !== undefined) refuse('streams', streams, 'left out without a topology');
  // A transform may send records to any topic.
  if (job.sources.some((each) => 'source' in each && (each.transforms ?? []).length > 0)) return;
  const written = new Set(job.sources.flatMap((each) => topicNames(sourceOf(each))));
  for (const sink of job.sinks.map(sinkOf)) {
    const unwritten = topicNames(sink).find((topic) => !written.has(topic));
    if (unwritten === undefined) continue;
    const allowed = `sinks of ${[...written].join(', ')}, or there must be a topology`;
    const message =
      `defineJob: sink ${sink.name} reads topic ${unwritten}, which no source writes; without a ` +
      `topology a job copies: sinks must be ${allowed}`;
    throw new LogError('INVALID_OPTION', message, { option: 'sinks', value: sink.name, allowed });
  }
}

/** @throws LogError INVALID_OPTION if a job with a schedule would never end. */
function checkEnds({ schedule, sources }: Job): void {
  if (schedule === undefined) return;
  const endless = sources.map(sourceOf).find(({ isBounded }) => !isBounded);
  if (endless === undefined) return;
  refuse('schedule', schedule.cron, `left out: source ${endless.name} never ends, so it runs once`);
}

/** True of a job without a topology. */
export function isCopy({ topology, topologies: several }: Job): boolean {
  return topology === undefined && several === undefined;
}

/** @throws LogError INVALID_OPTION if `defineJob` did not make it. */
export function checkJob(job: unknown, method = 'runJob'): asserts job is Job {
  if (typeof job === 'object' && job !== null && (job as Partial<Job>).isJob === true) return;
  const allowed = 'a job, as defineJob returns it';
  const value = show(job);
  const message = `${method}: job must be ${allowed}, not ${value}`;
  throw new LogError('INVALID_OPTION', message, { option: 'job', value, allowed });
}

/** The connector of a source. */
export function sourceOf(given: SourceConnector | JobSource): SourceConnector {
  return 'source' in given ? given.source : given;
}

/** The connector of a sink. */
export function sinkOf(given: SinkConnector | JobSink): SinkConnector {
  return 'sink' in given ? given.sink : given;
}

/** The names of a connector's topics. */
export function topicNames({ topics }: { readonly topics: readonly AnyTopic[] }): string[] {
  return topics.map(({ name }) => name);
}

/** Checks for duplicate names: offsets and transactions are stored by connector name. */
function checkNames(option: string, connectors: readonly { readonly name: string }[]): void {
  const names = new Set<string>();
  for (const { name } of connectors) {
    if (names.has(name)) {
      const allowed = 'connectors with different names';
      const message = `defineJob: two of the ${option} are called ${name}; rename one of them`;
      throw new LogError('INVALID_OPTION', message, { option, value: name, allowed });
    }
    names.add(name);
  }
}

function refuse(option: string, given: unknown, allowed: string): never {
  const value = show(given);
  const message = `defineJob: ${option} must be ${allowed}`;
  throw new LogError('INVALID_OPTION', message, { option, value, allowed });
}
