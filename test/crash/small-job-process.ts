/**
 * Runs the small job and kills itself with SIGKILL when it reaches a step for the n-th time:
 * `small-job-process.ts DIRECTORY [STEP N]`.
 */
import { join } from 'node:path';
import { runJob } from '../../job/index.ts';
import { smallJob } from './small-job.ts';

const [directory = '', fatalStep, occurrence = '1'] = process.argv.slice(2);
let left = Number(occurrence);

await runJob(smallJob(directory), {
  directory: join(directory, 'log'),
  onStep: (step) => {
    if (step === fatalStep && --left === 0) process.kill(process.pid, 'SIGKILL');
  },
});
