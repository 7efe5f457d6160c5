import { systemClock, type Clock, type Logger } from '../core/index.ts';
import {
  anything,
  callback,
  checkOptions,
  given,
  instance,
  integer,
  text,
  type OptionChecks,
} from '../core/internal.ts';
import type { MetricsOptions } from './metrics-server.ts';
import type { JobProgress } from './progress.ts';

export interface RunJobOptions {
  /**
   * The data directory: log, state and offsets. With the same directory a job continues where it
   * stopped.
   */
  readonly directory: string;
  /**
   * Stops the job: it commits what it has processed, and the next run continues there. Default:
   * none.
   */
  readonly signal?: AbortSignal;
  /**
   * How long a job may take to end after it is told to stop or a part of it fails. Default: 8,000.
   * `Infinity` waits as long as it takes.
   */
  readonly stopTimeoutMs?: number;
  /** Called with the progress several times a second, and once at the end. Default: none. */
  readonly onProgress?: (progress: JobProgress) => void;
  /**
   * Called before each step of a commit, of all parts; for tests and tracing. Default: none.
   */
  readonly onStep?: (step: string) => void;
  /**
   * Serves the metrics of the job and its topology over HTTP for Prometheus, as long as it runs.
   * Default: not.
   */
  readonly metrics?: MetricsOptions;
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
  /** Default: the machine's. */
  readonly clock?: Clock;
}

/** The defaults of `RunJobOptions`. */
export const JOB_DEFAULTS = {
  // Docker kills a container ten seconds after asking it to stop. A job that gives up before that
  // can still report what it was waiting for.
  stopTimeoutMs: 8_000,
  clock: systemClock,
} as const satisfies Partial<RunJobOptions>;

/** The longest delay of a timer. */
const TIMER_MS_MAX = 2 ** 31 - 1;

const CHECKS: OptionChecks<RunJobOptions> = {
  directory: text,
  signal: anything,
  stopTimeoutMs: (value) => (value === Infinity ? undefined : integer(0, TIMER_MS_MAX)(value)),
  onProgress: callback,
  onStep: callback,
  metrics: instance,
  logger: instance,
  clock: instance,
};

const METRICS_CHECKS: OptionChecks<MetricsOptions> = {
  port: integer(0, 65_535),
  host: text,
  onListening: callback,
};

export type RunJobSettings = RunJobOptions &
  Required<Pick<RunJobOptions, keyof typeof JOB_DEFAULTS>>;

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function runJobSettings(options: RunJobOptions): RunJobSettings {
  checkOptions('runJob', options, CHECKS, ['directory']);
  const { metrics } = options;
  if (metrics !== undefined) checkOptions('runJob.metrics', metrics, METRICS_CHECKS, ['port']);
  return { ...JOB_DEFAULTS, ...given(options) };
}
