import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../core/index.ts';
import { sleep } from '../core/internal.ts';
import { startMillrace, type Running } from '../test/kit/command.ts';
import { ENDLESS, outputOf, prepare } from '../test/kit/copy-job.ts';

/** For `writeJob`: a source that never answers. */
const DEAF = {
  'fileSource({': `{
    name: 'deaf', topics: [rows], isBounded: false,
    open: async () => [{ poll: () => new Promise(() => {}), close: async () => {} }],
  }, fileSource({`,
} as const;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(systemClock, 20);
}

/** Starts the job in a directory and waits until it has processed the rows of its file. */
async function startJob(directory: string, ...flags: readonly string[]): Promise<Running> {
  const running = startMillrace(directory, 'run', 'job.ts', '--json', ...flags);
  onTestFinished(() => void running.child.kill('SIGKILL'));
  await until(() => /"kind":"sink","name":"[^"]*","records":[1-9]/.test(running.out()));
  return running;
}

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  '[CLI-6] %s commits what is processed; the exit code is %i',
  async (signal, code) => {
    const directory = prepare(['1,10'], ENDLESS);
    const { child, out, err, ended } = await startJob(directory);
    child.kill(signal);
    expect(await ended).toBe(code);
    expect(JSON.parse(out().trim().split('\n').at(-1)!)).toMatchObject({
      type: 'summary',
      isComplete: false,
    });
    expect(err()).toMatch(/^millrace: stopping; what is processed is committed/);
    expect(outputOf(directory)).toContain('{"id":"1","total":10}');
  },
  60_000,
);

test('[CLI-11] a stop that takes too long is cut off and names what still runs', async () => {
  const directory = prepare(['1,10'], DEAF);
  const { child, out, err, ended } = await startJob(directory, '--stop-timeout', '0.5');
  child.kill('SIGTERM');
  expect(await ended).toBe(143);
  expect(err()).toMatch(/still at work: source deaf\..*\(STOP_TIMEOUT\)\n$/);
  expect(JSON.parse(out().trim().split('\n').at(-1)!)).toMatchObject({
    type: 'error',
    code: 'STOP_TIMEOUT',
    details: { job: 'copy', stopTimeoutMs: 500, running: ['source deaf'] },
  });
}, 60_000);

test('[CLI-6] a second signal ends a job at once, whatever its stop waits for', async () => {
  const directory = prepare(['1,10'], DEAF);
  const { child, err, ended } = await startJob(directory, '--stop-timeout', '600');
  child.kill('SIGINT');
  await until(() => err().includes('stopping'));
  child.kill('SIGTERM');
  expect(await ended).toBe(143);
}, 60_000);

test('[CLI-11] a failure ends a job even if its other parts hang', async () => {
  const directory = prepare(['1'], DEAF);
  const { ended, err } = startMillrace(directory, 'run', 'job.ts', '--stop-timeout', '0.5');
  expect(await ended).toBe(1);
  expect(err()).toMatch(/^millrace: .*\(FIELD_COUNT\)$/m);
}, 60_000);

/** Mounts a small disk on `directory`; false if that is not permitted. */
function mountSmallDisk(directory: string): boolean {
  mkdirSync(directory);
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', directory]);
  if (status !== 0) return false;
  onTestFinished(() => void spawnSync('umount', ['-l', directory]));
  return true;
}

/** Leaves no room, not even what is freed in the meantime. */
function fill(disk: string): void {
  const of = `of=${join(disk, 'filler')}`;
  spawnSync('dd', ['if=/dev/zero', of, 'bs=4k', 'oflag=append', 'conv=notrunc']);
  expect(statfsSync(disk).bavail).toBe(0);
}

test.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)(
  '[CLI-11] the first %s ends a job whose disk is full',
  async (signal, code) => {
    const directory = prepare(['1,10'], ENDLESS);
    const disk = join(directory, 'disk');
    if (!mountSmallDisk(disk)) {
      process.stderr.write(
        'not tested: a job on a full disk, for mounting is not permitted here\n',
      );
      return;
    }
    const flags = ['--data', 'disk/data', '--stop-timeout', '1'];
    const { child, err, ended } = await startJob(directory, ...flags);
    fill(disk);
    await sleep(systemClock, 1500); // a commit of the source is waiting for room now
    child.kill(signal);
    expect(await ended).toBe(code);
    expect(err()).toMatch(/still at work: .*source endless.*\(STOP_TIMEOUT\)\n$/);

    // The open transaction is recoverable: with room again, the next run continues after the last
    // commit.
    rmSync(join(disk, 'filler'));
    const next = startMillrace(directory, 'run', 'job.ts', '--json', '--data', 'disk/data');
    await until(() => /"name":"endless","records":[1-9]/.test(next.out()));
    next.child.kill('SIGTERM');
    expect(await next.ended).toBe(143);
    expect(next.out()).toContain('"type":"summary"');
    const ofFile = outputOf(directory).filter((line) => !line.includes('xxx'));
    expect(ofFile).toEqual(['{"id":"1","total":10}']);
  },
  120_000,
);
