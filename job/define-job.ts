import { LogError, type AnyTopic } from '../core/index.ts';
import { callback, checkOptions, instance, show, type OptionChecks } from '../core/internal.ts';
import type {
  SinkConnector,
  SinkRunnerOptions,
  SourceConnector,
  SourceRunnerOptions,
} from '../connect/index.ts';
import {
  StreamsBuilder,
  type StreamsOptions,
  type Topology,
  type TopologyDescription,
} from '../streams/index.ts';

/** A source of a job, and how it is run: what becomes of bad input and failures, transforms. */
export interface JobSource extends Omit<SourceRunnerOptions, 'signal' | 'clock' | 'logger'> {
  readonly source: SourceConnector;
}

/** A sink of a job, and how it is run. */
export interface JobSink extends Omit<SinkRunnerOptions, 'signal' | 'clock' | 'logger'> {
  readonly sink: SinkConnector;
}

/** A job: its sources, the topology that processes their records, and its sinks. */
export interface JobDefinition {
  /** Names the job, its application and its state: a-z A-Z 0-9 . _ - */
  readonly name: string;
  readonly sources: readonly (SourceConnector | JobSource)[];
  /** Builds the topology between the topics of the sources and those of the sinks. */
  readonly topology: (builder: StreamsBuilder) => void;
  readonly sinks: readonly (SinkConnector | JobSink)[];
  /** Settings of the application, such as `{ commitIntervalMs: 500 }`. */
  readonly streams?: Omit<StreamsOptions, 'applicationId' | 'stateDir'>;
}

/** A checked definition: run it with `runJob`, or from the command line with `millrace run`. */
export interface Job extends JobDefinition {
  /** Distinguishes a job from other exports of a file. */
  readonly isJob: true;
}

const CHECKS: OptionChecks<JobDefinition> = {
  name: (value) =>
    typeof value === 'string' && /^[\w.-]{1,180}$/.test(value)
      ? undefined
      : 'a name of a-z A-Z 0-9 . _ -, since topics and directories are named after it',
  sources: (value) => (Array.isArray(value) && value.length > 0 ? undefined : 'a list of sources'),
  topology: callback,
  sinks: (value) => (Array.isArray(value) ? undefined : 'a list of sinks'),
  streams: instance,
};

/**
 * Defines a job: the default export of a file for `millrace run`. Nothing runs yet.
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
export function defineJob(definition: JobDefinition): Job {
  const required = ['name', 'sources', 'topology', 'sinks'] as const;
  checkOptions('defineJob', definition, CHECKS, required);
  checkNames('sources', definition.sources.map(sourceOf));
  checkNames('sinks', definition.sinks.map(sinkOf));
  return { ...definition, isJob: true };
}

/** @throws LogError INVALID_OPTION if `defineJob` did not make it. */
export function checkJob(job: unknown, method = 'runJob'): asserts job is Job {
  if (typeof job === 'object' && job !== null && (job as Partial<Job>).isJob === true) return;
  const allowed = 'a job, as defineJob returns it';
  const value = show(job);
  const message = `${method}: job must be ${allowed}, not ${value}`;
  throw new LogError('INVALID_OPTION', message, { option: 'job', value, allowed });
}

/**
 * Builds the topology of a job.
 *
 * @throws LogError INVALID_OPTION if the function is async: what it adds later would be lost.
 */
export function buildTopology({ topology }: Job): Topology {
  const builder = new StreamsBuilder();
  // To TypeScript, a function that returns a promise may stand in for one that returns nothing.
  const build: (builder: StreamsBuilder) => unknown = topology;
  const result = build(builder);
  if (result instanceof Promise) {
    result.catch(() => undefined); // we refuse it, however it settles
    const allowed = 'a function that is not async';
    const message = `defineJob: topology must be ${allowed}: what it adds later would be lost`;
    throw new LogError('INVALID_OPTION', message, { option: 'topology', value: 'async', allowed });
  }
  return builder.build();
}

/**
 * The topology of a job, as data and to print. Nothing runs.
 *
 * @example
 * console.log(describeJob(job).toMermaid());
 *
 * @throws LogError INVALID_OPTION; StreamsError as `StreamsBuilder.build`
 */
export function describeJob(job: Job): TopologyDescription {
  checkJob(job, 'describeJob');
  return buildTopology(job).describe();
}

/** The connector of a source. */
export function sourceOf(given: SourceConnector | JobSource): SourceConnector {
  return 'source' in given ? given.source : given;
}

/** The connector of a sink. */
function sinkOf(given: SinkConnector | JobSink): SinkConnector {
  return 'sink' in given ? given.sink : given;
}

/** Checks for duplicate names: offsets and transactions are stored by connector name. */
function checkNames(
  option: string,
  connectors: readonly { readonly name: string; readonly topics: readonly AnyTopic[] }[],
): void {
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
