import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LogError } from '../core/index.ts';
import {
  progressDisplay,
  runJob,
  type Job,
  type JobProgress,
  type JobSummary,
  type ProgressDisplay,
} from '../job/index.ts';

/** The flags of `millrace run`. */
export interface RunFlags {
  readonly data: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const INTERRUPTED = 130;

/** Runs the job of a file. */
export async function runCommand(file: string, flags: RunFlags): Promise<void> {
  const job = await loadJob(file);
  const stop = new AbortController();
  const interrupt = (): void => {
    if (stop.signal.aborted) process.exit(INTERRUPTED); // asked twice: now
    process.stderr.write(
      'millrace: stopping; what is processed is committed (Ctrl-C again: at once)\n',
    );
    stop.abort();
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    const { signal } = stop;
    const display = displayFor(flags);
    const onProgress = (progress: JobProgress): void => display.show(progress);
    const summary = await runJob(job, { directory: flags.data, signal, onProgress });
    display.end();
    printSummary(summary, flags);
    if (!summary.isComplete && signal.aborted) process.exitCode = INTERRUPTED;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

/**
 * Loads the default export of a job file. TypeScript is compiled on the way, by tsx.
 *
 * @throws LogError INVALID_OPTION when there is no such file or no job in it.
 */
async function loadJob(file: string): Promise<Job> {
  const path = resolve(file);
  if (!existsSync(path)) throw notAJob(file, 'there is no such file');
  if (/\.[cm]?tsx?$/.test(path)) await registerTypeScript();
  const loaded = (await import(pathToFileURL(path).href)) as { readonly default?: Partial<Job> };
  const job = loaded.default;
  if (job?.isJob === true) return job as Job;
  throw notAJob(file, 'its default export is not a job; write: export default defineJob({ ... })');
}

async function registerTypeScript(): Promise<void> {
  const tsx = await import('tsx/esm/api');
  tsx.register();
  register(`./typescript-hooks${extname(import.meta.url)}`, import.meta.url);
}

function notAJob(file: string, reason: string): LogError {
  const allowed = 'a file whose default export is a job';
  return new LogError('INVALID_OPTION', `${file} cannot be run: ${reason}`, {
    option: 'file',
    value: file,
    allowed,
  });
}

function displayFor({ json = false, quiet = false }: RunFlags): ProgressDisplay {
  const end = (): void => undefined;
  if (json) {
    const print = (progress: JobProgress): boolean =>
      process.stdout.write(`${JSON.stringify({ type: 'progress', ...progress })}\n`);
    return { show: print, end };
  }
  return quiet ? { show: () => undefined, end } : progressDisplay(process.stderr);
}

function printSummary(summary: JobSummary, { json = false }: RunFlags): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ type: 'summary', ...summary })}\n`);
    return;
  }
  const seconds = (summary.elapsedMs / 1000).toFixed(1);
  const records = summary.sources.reduce((sum, source) => sum + source.records, 0);
  const written = summary.sinks.reduce((sum, sink) => sum + sink.records, 0);
  const end = summary.isComplete ? 'done' : 'stopped';
  process.stdout.write(
    `${summary.job}: ${end} in ${seconds} s, ${records.toLocaleString('en-US')} records in, ` +
      `${written.toLocaleString('en-US')} out\n`,
  );
}
