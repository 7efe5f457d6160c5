import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from './kit/root.ts';

const page = readFileSync(join(ROOT, 'docs/CONNECTOR-TUTORIAL.md'), 'utf8');

test('[CONNECT-KIT-3] the tutorial shows the files that are run', () => {
  const blocks = [...page.matchAll(/^```ts file=(\S+)\n([\s\S]*?)^```$/gm)];
  expect(blocks.map(([, file]) => file)).toEqual([
    'examples/connector/tickets-source.ts',
    'examples/connector/ledger-sink.ts',
    'examples/connector/try.ts',
  ]);
  for (const [, file = '', code] of blocks) {
    expect(code).toBe(readFileSync(join(ROOT, file), 'utf8'));
  }
});

test('[CONNECT-KIT-3] its connectors survive a crash at each step', () => {
  const tsx = join(ROOT, 'node_modules/tsx/dist/cli.mjs');
  const file = join(ROOT, 'examples/connector/try.ts');
  const command = [tsx, '--tsconfig', join(ROOT, 'tsconfig.json'), file];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^tickets-source: \d\d crashes\nledger: \d+ crashes\n$/);
}, 120_000);
