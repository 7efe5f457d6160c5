/** Runs the copy, deleting what is copied very often: `copy-job-process.ts DIRECTORY`. */
import { join } from 'node:path';
import { systemClock } from '../../core/index.ts';
import { runJob } from '../../job/index.ts';
import { copyJob } from './copy-job.ts';

const [directory = ''] = process.argv.slice(2);

await runJob(copyJob(directory), {
  directory: join(directory, 'log'),
  clock: {
    ...systemClock,
    setBackgroundTimer: (ms, callback) => systemClock.setBackgroundTimer(ms / 100, callback),
  },
});
