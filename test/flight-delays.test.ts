import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { expect, test } from 'vitest';
import { seededRandom } from '../core/index.ts';
import { FLIGHTS_FILE } from '../examples/flight-delays/data.ts';
import { isDue, planKills, type Done, type Kill } from '../examples/flight-delays/kill-plan.ts';
import { TAKES_ALL } from './kit/share.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const tsx = join(root, 'node_modules/tsx/dist/cli.mjs');
const main = join(root, 'examples/flight-delays/main.ts');

function demonstrate(flags: readonly string[], environment: Readonly<NodeJS.ProcessEnv> = {}) {
  const env = { ...process.env, ...environment };
  const options = { cwd: root, encoding: 'utf8', env } as const;
  return spawnSync(process.execPath, [tsx, main, ...flags], options);
}

/** All flights, or the first weeks of them; and the windows in which they are. */
const [FLIGHTS, WINDOWS] = TAKES_ALL ? [3_000_000, 621_218] : [300_000, 63_356];

/** Writes the first flights into a file of their own; returns what tells the job of it. */
async function firstFlights(): Promise<Readonly<Record<string, string>>> {
  const { buffer, byteOffset, byteLength } = readFileSync(FLIGHTS_FILE);
  const file = buffer.slice(byteOffset, byteOffset + byteLength);
  const rows = await parquetReadObjects({ file, compressors, rowEnd: FLIGHTS });
  const columnOf = (name: string): unknown[] => rows.map((row): unknown => row[name]);
  const numbersOf = (name: string): bigint[] => rows.map((row) => BigInt(row[name] as number));
  const path = join(temporaryDirectory(), 'flights.parquet');
  const bytes = parquetWriteBuffer({
    columnData: [
      { name: 'date', data: columnOf('date'), type: 'TIMESTAMP' },
      { name: 'delay', data: numbersOf('delay'), type: 'INT64' },
      { name: 'distance', data: numbersOf('distance'), type: 'INT64' },
      { name: 'origin', data: columnOf('origin'), type: 'STRING' },
      { name: 'destination', data: columnOf('destination'), type: 'STRING' },
    ],
  });
  writeFileSync(path, Buffer.from(bytes));
  return { FLIGHTS_FILE: path, FLIGHTS_WINDOWS: String(WINDOWS) };
}

test(`[JOB-1] a job over ${FLIGHTS} flights counts each once, although killed twice`, async () => {
  const data = join(temporaryDirectory(), 'data');
  const flags = ['--json', '--chaos', '2', '--seed', '11', '--data', data];
  const { status, stdout, stderr } = demonstrate(flags, TAKES_ALL ? {} : await firstFlights());
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(JSON.parse(stdout.trim().split('\n').at(-1)!)).toMatchObject({
    records: FLIGHTS,
    windows: WINDOWS,
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
  const { status, stderr } = demonstrate(['--data', data]);
  expect(status).toBe(1);
  expect(stderr).toContain('thesis.txt');
  expect(readdirSync(data).sort()).toEqual(['log', 'thesis.txt']);
});

test('an unknown flag is explained', () => {
  const { status, stderr } = demonstrate(['--caos', '3']);
  expect(status).toBe(2);
  expect(stderr).toContain('--chaos KILLS');
});
