import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { seededRandom } from 'millrace';
import type { JobProgress, JobSummary } from 'millrace/job';

/** What a child process tells of the job that it runs. */
export type ChildMessage =
  | { readonly type: 'progress'; readonly progress: JobProgress; readonly peakRssMb: number }
  | { readonly type: 'done'; readonly summary: JobSummary; readonly peakRssMb: number };

export interface ChaosOptions {
  readonly kills: number;
  /** Repeats the moments of the kills, as far as the machine does. */
  readonly seed: number;
  readonly directory: string;
  readonly onProgress: (progress: JobProgress) => void;
  readonly onKill: (kill: number, afterMs: number) => void;
}

export interface ChaosResult {
  readonly summary: JobSummary;
  readonly kills: number;
  readonly peakRssMb: number;
}

/**
 * After its start a process lives this long before it is killed: from before it has opened its log
 * on.
 */
const LIFE_MS = { min: 100, max: 1600 };

/**
 * Runs the job in a child process, kills it with SIGKILL at random moments, starts it again each
 * time, and lets the last one run to its end.
 */
export async function runWithChaos(options: ChaosOptions): Promise<ChaosResult> {
  const random = seededRandom(options.seed);
  let peakRssMb = 0;
  let kills = 0;
  for (;;) {
    const isLast = kills === options.kills;
    const lifeMs = LIFE_MS.min + random.next() * (LIFE_MS.max - LIFE_MS.min);
    const result = await runChild(options, isLast ? undefined : lifeMs, (message) => {
      peakRssMb = Math.max(peakRssMb, message.peakRssMb);
    });
    if (result !== undefined) return { summary: result, kills, peakRssMb };
    kills++;
    options.onKill(kills, lifeMs);
  }
}

/** One life of the child: its summary, or undefined when it was killed. */
function runChild(
  { directory, onProgress }: ChaosOptions,
  lifeMs: number | undefined,
  heard: (message: ChildMessage) => void,
): Promise<JobSummary | undefined> {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const child: ChildProcess = fork(main, ['--child', '--data', directory]);
  let summary: JobSummary | undefined;
  const timer = lifeMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), lifeMs);
  child.on('message', (message) => {
    const told = message as ChildMessage;
    heard(told);
    if (told.type === 'progress') onProgress(told.progress);
    else summary = told.summary;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      if (signal === 'SIGKILL') resolve(undefined);
      else if (summary !== undefined && code === 0) resolve(summary);
      else reject(new Error(`the job ended with code ${code}, signal ${signal}`));
    });
  });
}
