import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeFileSystem } from '../core/index.ts';
import { verifyOutput } from '../connect/index.ts';
import { runChild } from './kit/child.ts';
import { filesBelow, manifestIn, readOutput } from './kit/output.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const PROGRAM = 'test/kit/sink-process.ts';
const STEPS = [
  'file-1-write',
  'file-2-sync',
  'file-3-names',
  'file-4-manifest',
  'file-5-committed',
];
const ROWS = 1_000;

test.each(['text', 'gzip', 'clock', 'layout', 'parquet'])(
  '[CONNECT-FORMAT-1] [CONNECT-ROLL-1] kill -9 at each step of a commit: each record once (%s)',
  async (kind) => {
    const directory = temporaryDirectory();
    for (const [index, step] of STEPS.entries()) {
      const { how, output } = await runChild(PROGRAM, [
        directory,
        kind,
        step,
        String(1 + (index % 2)),
      ]);
      expect([step, how, output]).toEqual([step, 'SIGKILL', '']);
    }
    const { how, output } = await runChild(PROGRAM, [directory, kind]);
    expect([how, output]).toEqual(['0', 'done\n']);

    const out = join(directory, 'out');
    const parts = await readOutput(nodeFileSystem, out);
    const ids = parts.flatMap(({ rows }) =>
      (rows as { readonly id: number }[]).map(({ id }) => id),
    );
    expect(ids.sort((a, b) => a - b)).toEqual(Array.from({ length: ROWS }, (_, id) => id));
    expect(await filesBelow(nodeFileSystem, out)).toEqual(
      ['manifest.json', ...parts.map(({ file }) => file)].sort(),
    );
    expect((await manifestIn(nodeFileSystem, out))?.complete).toBe(true);
    expect((await verifyOutput(out)).problems).toEqual([]);
  },
  120_000,
);
