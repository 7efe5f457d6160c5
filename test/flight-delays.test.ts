import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { seededRandom } from '../core/index.ts';
import { isDue, planKills, type Done, type Kill } from '../examples/flight-delays/kill-plan.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsx = join(root, 'node_modules/tsx/dist/cli.mjs');
const main = join(root, 'examples/flight-delays/main.ts');

function demonstrate(...flags: readonly string[]) {
  const options = { cwd: root, encoding: 'utf8' } as const;
  return spawnSync(process.execPath, [tsx, main, ...flags], options);
}

test('[JOB-1] a job over three million flights counts each once, although killed twice', () => {
  const data = join(temporaryDirectory(), 'data');
  const flags = ['--json', '--chaos', '2', '--seed', '11', '--data', data];
  const { status, stdout, stderr } = demonstrate(...flags);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toMatchObject({
    records: 3_000_000,
    windows: 621_218,
    missing: 0,
    duplicated: 0,
    different: 0,
    kills: 2,
    killsAfterSinkCommit: 2,
  });
}, 180_000);

test('[JOB-1] at least half of any number of planned kills wait for a commit of a sink', () => {
  for (let count = 0; count <= 30; count++) {
    const plan = planKills(count, seededRandom(count));
    expect(plan).toHaveLength(count);
    // However much is read and written, they are not due without a commit of a sink.
    const before = { flights: 3e6, newWindows: 1e6, windows: 1e6, sinkCommits: 0 };
    const steps = [undefined, 'sink-1-output', 'sink-2-offsets', 'sink-3-committed'];
    const canFall = (done: Done) => (kill: Kill) => steps.some((step) => isDue(kill, done, step));
    expect(plan.filter(canFall(before)).length).toBeLessThanOrEqual(count / 2);
    expect(plan.every(canFall({ ...before, sinkCommits: 1 }))).toBe(true);
  }
});

test('the demonstration removes only its own files', () => {
  const data = temporaryDirectory();
  mkdirSync(join(data, 'log'));
  writeFileSync(join(data, 'thesis.txt'), 'the only copy');
  const { status, stderr } = demonstrate('--data', data);
  expect(status).toBe(1);
  expect(stderr).toContain('thesis.txt');
  expect(readdirSync(data).sort()).toEqual(['log', 'thesis.txt']);
});

test('an unknown flag is explained', () => {
  const { status, stderr } = demonstrate('--caos', '3');
  expect(status).toBe(2);
  expect(stderr).toContain('--chaos KILLS');
});
