import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { runChild } from './kit/child.ts';
import { startPostgres } from './kit/postgres.ts';
import { rowsOf } from './kit/sqlite.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const PROGRAM = 'test/kit/sql-process.ts';
const STEPS = [
  'sql-1-rows',
  'sql-2-offsets',
  'sql-3-commit',
  'sql-4-committed',
  'sink-3-committed',
];
const IDS = Array.from({ length: 1_000 }, (_, id) => id);

/** Kills the sink at each of its steps, then lets it end. */
async function killAtEachStep(directory: string, database: string): Promise<void> {
  for (const [index, step] of STEPS.entries()) {
    const nth = String(1 + (index % 3));
    const { how, output } = await runChild(PROGRAM, [directory, database, step, nth]);
    expect([step, how, output]).toEqual([step, 'SIGKILL', '']);
  }
  const { how, output } = await runChild(PROGRAM, [directory, database]);
  expect([how, output]).toEqual(['0', 'done\n']);
}

test('[CONNECT-SQLITE-1] kill -9 at each step of a commit: each record once', async () => {
  const directory = temporaryDirectory();
  await killAtEachStep(directory, 'sqlite');
  const found = rowsOf(join(directory, 'out.db'), 'SELECT id FROM rows');
  expect(found.map(([id]) => Number(id)).sort((a, b) => a - b)).toEqual(IDS);
}, 120_000);

const postgres = await startPostgres();
afterAll(() => postgres?.stop());
test.skipIf(postgres === undefined)(
  '[CONNECT-POSTGRES-1] kill -9 at each step of a commit: each record once',
  async () => {
    await killAtEachStep(temporaryDirectory(), String(postgres!.port));
    const found = await postgres!.query('SELECT id FROM rows');
    expect(found.map(([id]) => Number(id)).sort((a, b) => a - b)).toEqual(IDS);
  },
  120_000,
);
