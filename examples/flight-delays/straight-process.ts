/** Computes the straight results in a separate process, to take no time or memory from the job. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { computeStraight, type Straight } from './straight.ts';

const file = fileURLToPath(import.meta.url);

/** Starts the computation; the promise rejects if the process fails. */
export function startStraight(): Promise<Straight> {
  const child = fork(file, ['--compute'], { serialization: 'advanced' });
  return new Promise((resolve, reject) => {
    child.on('message', (straight) => resolve(straight as Straight));
    child.on('error', reject);
    child.on('exit', (code) =>
      reject(new Error(`the straight computation ended with code ${code}`)),
    );
  });
}

if (process.argv[1] === file && process.argv.includes('--compute')) {
  const straight = await computeStraight();
  // Without a parent there is no recipient.
  if (process.connected) process.send?.(straight, () => process.disconnect());
}
