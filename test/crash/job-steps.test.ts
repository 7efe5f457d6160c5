import { expect, test } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { runChild } from '../kit/child.ts';
import { temporaryDirectory } from '../kit/temporary-directory.ts';
import { actualOutput, expectedOutput, writeInput } from './small-job.ts';

/** Every numbered step of every commit and checkpoint of a job, as `onStep` gets them. */
const STEPS = [
  'source-1-flush',
  'source-2-offsets',
  'source-3-end',
  'source-4-committed',
  'commit-1-flush',
  'commit-2-changelog',
  'commit-3-produce',
  'commit-4-offsets',
  'commit-5-end',
  'commit-6-move',
  'checkpoint-1-offsets',
  'checkpoint-2-write',
  'checkpoint-3-done',
  'sink-1-output',
  'sink-2-offsets',
  'sink-3-committed',
  'file-1-write',
  'file-2-sync',
  'file-3-names',
  'file-4-manifest',
  'file-5-committed',
];

const PROGRAM = 'test/crash/small-job-process.ts';
/** Half a day: several windows of each kind. */
const ROWS = 4_000;
/** Enough that most of ten kills find the job at work. */
const MANY_ROWS = 20_000;

/** Runs the job in a process; resolves with how it ended. */
async function runProcess(args: readonly string[], killAfterMs?: number): Promise<string> {
  const kill =
    killAfterMs === undefined ? undefined : { afterMs: killAfterMs, since: 'spawn' as const };
  return (await runChild(PROGRAM, args, kill)).how;
}

for (const step of STEPS) {
  test(`[JOB-1] killed at ${step}, first and later: the same output`, async () => {
    const directory = temporaryDirectory();
    writeInput(directory, ROWS);
    const first = await runProcess([directory, step, '1']);
    const second = await runProcess([directory, step, '2']);
    expect(first).toBe('SIGKILL'); // otherwise the step was never reached, and nothing was tested
    expect(['SIGKILL', '0']).toContain(second); // the rest of the job may have too few of them
    expect(await runProcess([directory])).toBe('0');
    expect(actualOutput(directory)).toEqual(expectedOutput(ROWS));
  }, 60_000);
}

const seed = Number(process.env['SEED'] ?? 20260101);

test(`[JOB-1] killed ten times at random moments (seed ${seed}): the same output`, async () => {
  const directory = temporaryDirectory();
  const random = seededRandom(seed);
  writeInput(directory, MANY_ROWS);
  for (let kill = 0; kill < 10; kill++) {
    const ended = await runProcess([directory], 150 + random.next() * 900);
    expect(['SIGKILL', '0']).toContain(ended);
  }
  expect(await runProcess([directory])).toBe('0');
  expect(actualOutput(directory)).toEqual(expectedOutput(MANY_ROWS));
}, 120_000);
