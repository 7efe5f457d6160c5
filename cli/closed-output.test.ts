import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic } from '../core/index.ts';
import { COMMAND, startMillrace } from '../test/kit/command.ts';
import { outputOf, prepare } from '../test/kit/copy-job.ts';

const rows = Array.from({ length: 5_000 }, (_, index) => `${index},10`);

/** A directory with a log as of a job that has read the rows. */
async function prepareLog(): Promise<string> {
  const directory = prepare(rows);
  await using log = await openLog(join(directory, 'data'), { logger: silentLogger });
  const read = topic('rows', { key: string(), value: json<object>(), partitions: 2 });
  const records = rows.map((row, id) => ({ key: String(id), value: { row } }));
  await log.producer().sendAll(read, records);
  const offsets = [{ topic: 'rows', partition: 0, offset: 1, metadata: '' }];
  await log.api.offsetCommit({ groupId: 'copy', memberId: '', generation: -1, offsets });
  return directory;
}

test('[CLI-10] a command that prints ends as Unix tools do if its reader is gone', async () => {
  const directory = await prepareLog();
  // More than a pipe holds: the command is still printing when its reader goes.
  const dump = startMillrace(directory, 'dump', 'rows');
  await new Promise((resolve) => dump.child.stdout?.once('data', resolve));
  dump.child.stdout?.destroy();
  expect({ code: await dump.ended, err: dump.err() }).toEqual({ code: 141, err: '' });
  for (const args of [['dump', 'rows', '--json'], ['topics'], ['groups'], ['verify']]) {
    const { child, ended, err } = startMillrace(directory, ...args);
    child.stdout?.destroy(); // before the first line
    expect({ args, code: await ended, err: err() }).toEqual({ args, code: 141, err: '' });
  }
}, 180_000);

test('[CLI-10] a job runs to its end even if nobody reads its output', async () => {
  const directory = prepare(rows);
  const { child, ended, err } = startMillrace(directory, 'run', 'job.ts', '--json');
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  child.stdout?.destroy();
  expect({ code: await ended, err: err() }).toEqual({ code: 0, err: '' });
  expect(outputOf(directory)).toHaveLength(5_000);
}, 60_000);

test('[CLI-10] a job runs to its end even if nobody reads its progress', async () => {
  const directory = prepare(rows);
  const { child, ended } = startMillrace(directory, 'run', 'job.ts');
  child.stdout?.destroy();
  child.stderr?.destroy();
  expect(await ended).toBe(0);
  expect(outputOf(directory)).toHaveLength(5_000);
}, 60_000);

test('[CLI-10] repair runs to its end even if nobody reads its output', async () => {
  const directory = await prepareLog();
  const { child, ended, err } = startMillrace(directory, 'repair', '--yes');
  child.stdout?.destroy();
  expect({ code: await ended, err: err() }).toEqual({ code: 0, err: '' });
}, 60_000);

// A device that is always full; only Linux has it.
test.skipIf(!existsSync('/dev/full'))(
  '[CLI-10] a failing output is reported once',
  async () => {
    const directory = await prepareLog();
    const full = openSync('/dev/full', 'w');
    const run = (...args: readonly string[]) =>
      spawnSync(process.execPath, [COMMAND, ...args], {
        cwd: directory,
        encoding: 'utf8',
        stdio: ['ignore', full, 'pipe'],
      });
    for (const args of [['topics'], ['run', 'job.ts', '--json']]) {
      const { status, stderr } = run(...args);
      expect(status).toBe(1);
      expect(stderr).toMatch(/^millrace: cannot print: ENOSPC.*\n$/); // once
    }
    closeSync(full);
  },
  60_000,
);
