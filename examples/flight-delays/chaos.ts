import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { seededRandom } from 'millrace';
import type { JobProgress, JobSummary } from 'millrace/job';
import { isDue, planKills, type Done, type Kill } from './kill-plan.ts';

/** What a child process reports of its job. */
export type ChildMessage =
  | { readonly type: 'progress'; readonly progress: JobProgress; readonly peakRssMb: number }
  /** A step of a sink's commit is about to run. */
  | { readonly type: 'step'; readonly step: string }
  | { readonly type: 'done'; readonly summary: JobSummary; readonly peakRssMb: number };

/** Where a kill fell. */
export interface Fall {
  /** The share of the flights read, from 0 to 1. */
  readonly read: number;
  readonly windows: number;
  readonly sinkCommits: number;
}

export interface ChaosOptions {
  readonly kills: number;
  /** The seed that repeats the kill plan. */
  readonly seed: number;
  readonly directory: string;
  readonly onProgress: (progress: JobProgress) => void;
  readonly onKill: (kill: number, fall: Fall) => void;
}

export interface ChaosResult {
  readonly summary: JobSummary;
  readonly falls: readonly Fall[];
  readonly peakRssMb: number;
}

/**
 * Runs the job in a child process, kills it with SIGKILL as planned, restarts it each time and lets
 * the last process run to its end.
 */
export async function runWithChaos(options: ChaosOptions): Promise<ChaosResult> {
  const plan = planKills(options.kills, seededRandom(options.seed));
  const tally = new Tally();
  const falls: Fall[] = [];
  for (;;) {
    const summary = await runChild(options, plan[falls.length], tally);
    if (summary !== undefined) return { summary, falls, peakRssMb: tally.peakRssMb };
    const fall = tally.endLife();
    falls.push(fall);
    options.onKill(falls.length, fall);
  }
}

/** Counts what the job has done over all lives of its process. */
class Tally {
  peakRssMb = 0;
  #read = 0;
  #sinkCommits = 0;
  /** Committed in former lives; the rest of their writes does not count. */
  #windowsBefore = 0;
  /** Of this life. */
  #flights = 0;
  #windows = 0;
  #committedWindows = 0;

  hear(message: ChildMessage): void {
    if (message.type === 'step') {
      // Each step is reported just before it runs; this one has no work left.
      if (message.step !== 'sink-3-committed') return;
      this.#sinkCommits++;
      this.#committedWindows = this.#windows;
      return;
    }
    this.peakRssMb = Math.max(this.peakRssMb, message.peakRssMb);
    if (message.type === 'done') return;
    const { stages } = message.progress;
    const source = stages.find(({ name }) => name === 'flights-source');
    this.#flights = source?.records ?? 0;
    this.#read = source?.fraction ?? this.#read;
    this.#windows = stages.reduce((sum, { kind, records }) => {
      return kind === 'sink' ? sum + records : sum;
    }, 0);
  }

  get done(): Done {
    return {
      flights: this.#flights,
      newWindows: this.#windows,
      windows: this.#windowsBefore + this.#windows,
      sinkCommits: this.#sinkCommits,
    };
  }

  /** The process was killed. */
  endLife(): Fall {
    const { windows, sinkCommits } = this.done;
    this.#windowsBefore += this.#committedWindows;
    this.#flights = this.#windows = this.#committedWindows = 0;
    return { read: this.#read, windows, sinkCommits };
  }
}

/** One life of the child: its summary, or undefined when it was killed. */
function runChild(
  { directory, onProgress }: ChaosOptions,
  kill: Kill | undefined,
  tally: Tally,
): Promise<JobSummary | undefined> {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const child = fork(main, ['--child', '--data', directory]);
  let summary: JobSummary | undefined;
  child.on('message', (message) => {
    if (child.killed) return; // sent before the kill: only the state known at the kill counts
    const told = message as ChildMessage;
    tally.hear(told);
    if (told.type === 'progress') onProgress(told.progress);
    if (told.type === 'done') summary = told.summary;
    const step = told.type === 'step' ? told.step : undefined;
    if (kill !== undefined && isDue(kill, tally.done, step)) child.kill('SIGKILL');
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (signal === 'SIGKILL') resolve(undefined);
      else if (summary !== undefined && code === 0) resolve(summary);
      else reject(new Error(`the job ended with code ${code}, signal ${signal}`));
    });
  });
}
