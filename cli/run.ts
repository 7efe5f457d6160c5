import { InvalidArgumentError } from 'commander';
import { jsonLogger, LogError, silentLogger, type Logger } from '../core/index.ts';
import {
  progressDisplay,
  runJob,
  runScheduled,
  type Job,
  type JobSummary,
  type ProgressDisplay,
  type RunJobOptions,
} from '../job/index.ts';
import { keepWorking } from './closed-output.ts';
import { describeError } from './complain.ts';
import { descriptionOf } from './describe.ts';
import { loadJob } from './load-job.ts';
import { StopSignals } from './stop-signals.ts';
import { printJson } from './verify.ts';

/** The flags of `millrace run`. */
export interface RunFlags {
  readonly data: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  /** In seconds. */
  readonly stopTimeout: number;
  readonly metricsPort?: number;
  readonly metricsHost: string;
  readonly log: (typeof LOG_FORMATS)[number];
  /** Run now, whatever the schedule says. */
  readonly once?: boolean;
  /** Run nothing. */
  readonly check?: boolean;
}

/** How `--log` prints what happens besides the progress: warnings and errors, or all, as JSON. */
export const LOG_FORMATS = ['text', 'json'] as const;

/** Runs the job in a file: once, or at the times of its schedule. */
export async function runCommand(file: string, flags: RunFlags): Promise<void> {
  if (flags.check === true) return checkCommand(file, flags);
  keepWorking();
  const job = await loadJob(file);
  const display = displayFor(flags);
  const stop = new StopSignals((key) => {
    display.note(`millrace: stopping; what is processed is committed (${key} again: at once)`);
  });
  const options: RunJobOptions = {
    directory: flags.data,
    signal: stop.signal,
    stopTimeoutMs: flags.stopTimeout * 1000,
    onProgress: (progress) => display.show(progress),
    logger: loggerTo(display, flags),
    ...metricsOf(flags, display),
  };
  try {
    if (job.schedule !== undefined && flags.once !== true) {
      await runBySchedule(job, options, display, flags);
      process.exitCode = stop.exitCode;
      return;
    }
    const summary = await runJob(job, options);
    display.end();
    printSummary(summary, flags);
    if (!summary.isComplete) process.exitCode = stop.exitCode;
  } catch (error) {
    display.end();
    if (LogError.is(error, 'STOP_TIMEOUT')) process.exitCode = stop.exitCode;
    throw error;
  } finally {
    stop.end();
  }
}

/** Stays, and prints what became of each time. */
async function runBySchedule(
  job: Job,
  options: RunJobOptions,
  display: ProgressDisplay,
  flags: RunFlags,
): Promise<void> {
  await runScheduled(job, {
    ...options,
    onRun: (run) => {
      display.end();
      if (run.outcome === 'done') printSummary(run.summary, flags);
      else if (run.outcome === 'failed' && flags.json === true) {
        printJson({ type: 'error', ...describeError(run.error) });
      }
    },
    onWait: (nextMs) => {
      const next = new Date(nextMs).toISOString();
      if (flags.json === true) printJson({ type: 'waiting', job: job.name, next });
      else if (flags.quiet !== true) display.note(`millrace: ${job.name} runs next at ${next}`);
    },
  });
}

/** Loads the job in a file and prints its topologies. Nothing runs, and no log is opened. */
async function checkCommand(file: string, { json = false }: RunFlags): Promise<void> {
  const job = await loadJob(file);
  if (json) {
    const topology: unknown = JSON.parse(descriptionOf(job, 'json'));
    printJson({ type: 'checked', job: job.name, topology });
    return;
  }
  process.stdout.write(`${descriptionOf(job, 'text')}OK
`);
}

/** Parses a number of seconds from a flag. */
export function seconds(value: string): number {
  if (/^\d{1,6}(\.\d{1,3})?$/.test(value)) return Number(value);
  throw new InvalidArgumentError('It must be a number of seconds, such as 8 or 0.5.');
}

/** Parses a port from a flag. */
export function portNumber(value: string): number {
  if (/^\d{1,5}$/.test(value) && Number(value) <= 65_535) return Number(value);
  throw new InvalidArgumentError('It must be a port, 0 to 65535.');
}

function metricsOf(
  { metricsPort: port, metricsHost: host }: RunFlags,
  display: ProgressDisplay,
): Pick<RunJobOptions, 'metrics'> {
  if (port === undefined) return {};
  const onListening = (url: string): void => display.note(`millrace: metrics at ${url}`);
  return { metrics: { port, host, onListening } };
}

function displayFor({ json = false, quiet = false }: RunFlags): ProgressDisplay {
  const display = progressDisplay(process.stderr);
  if (!json && !quiet) return display;
  return {
    show: (progress) => {
      if (json) printJson({ type: 'progress', ...progress });
    },
    note: (line) => display.note(line),
    end: () => undefined,
  };
}

/** A logger that shows warnings and errors above the progress, or all as JSON. */
function loggerTo(display: ProgressDisplay, { log }: RunFlags): Logger {
  if (log === 'json') return jsonLogger((line) => display.note(line));
  const note = (message: string): void => display.note(`millrace: ${message}`);
  return { ...silentLogger, warn: note, error: note };
}

/** What became of records that have no result, if there were any. */
function failuresOf({ streams, sources, sinks }: JobSummary): string {
  const connectors = [...sources, ...sinks].map((part) => part.failed);
  const failed = [...streams.map(({ failedRecords }) => failedRecords), ...connectors];
  const skipped = failed.reduce((sum, each) => sum + each.skipped, 0);
  const deadLettered = failed.reduce((sum, each) => sum + each.deadLettered, 0);
  const dropped = new Map<string, number>();
  for (const { droppedRecords } of streams) {
    for (const [reason, count] of Object.entries(droppedRecords)) {
      if (count > 0) dropped.set(reason, (dropped.get(reason) ?? 0) + count);
    }
  }
  const parts = [
    ...(skipped === 0 ? [] : [`${skipped.toLocaleString('en-US')} skipped`]),
    ...(deadLettered === 0 ? [] : [`${deadLettered.toLocaleString('en-US')} dead letters`]),
    ...Array.from(dropped, ([reason, count]) => {
      return `${count.toLocaleString('en-US')} dropped (${reason})`;
    }),
  ];
  return parts.map((part) => `, ${part}`).join('');
}

function printSummary(summary: JobSummary, { json = false }: RunFlags): void {
  if (json) {
    printJson({ type: 'summary', ...summary });
    return;
  }
  const seconds = (summary.elapsedMs / 1000).toFixed(1);
  const records = summary.sources.reduce((sum, source) => sum + source.records, 0);
  const written = summary.sinks.reduce((sum, sink) => sum + sink.records, 0);
  const end = summary.isComplete ? 'done' : 'stopped';
  process.stdout.write(
    `${summary.job}: ${end} in ${seconds} s, ${records.toLocaleString('en-US')} records in, ` +
      `${written.toLocaleString('en-US')} out${failuresOf(summary)}\n`,
  );
}
