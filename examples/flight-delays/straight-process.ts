/**
 * Computes the straight results in a process of its own, so that they cost the job neither time nor
 * memory.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { computeStraight, type Straight } from './straight.ts';

const file = fileURLToPath(import.meta.url);

/** Starts the computation; the promise rejects when the process fails. */
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
  // Without a parent there is nobody to tell.
  if (process.connected) process.send?.(straight, () => process.disconnect());
}
