import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>;
  readonly files: readonly string[];
};

/** The blocks of one language, in order. */
function blocks(language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm');
  return [...readme.matchAll(fence)].map((match) => match[1]!);
}

/** Runs a file of the checkout with another working directory. */
function runIn(
  directory: string,
  ...args: readonly string[]
): { code: number | null; out: string; err: string } {
  const tsx = join(root, 'node_modules/tsx/dist/cli.mjs');
  const command = [tsx, '--tsconfig', join(root, 'tsconfig.json'), ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    cwd: directory,
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

test('the programs of the README are the files that it names', () => {
  const [quickStart, largeOrders] = blocks('ts');
  expect(quickStart).toBe(readFileSync(join(root, 'examples/quick-start.ts'), 'utf8'));
  expect(largeOrders).toBe(readFileSync(join(root, 'examples/large-orders.ts'), 'utf8'));
});

test('the first program prints what the README says', () => {
  const directory = temporaryDirectory();
  const { code, out, err } = runIn(directory, join(root, 'examples/quick-start.ts'));
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out.trim().split('\n').sort()).toEqual(['/ 3', '/docs 2']);
});

test('the program with live queries prints what is in its store', () => {
  const directory = temporaryDirectory();
  const { code, out, err } = runIn(directory, join(root, 'examples/live-counts.ts'));
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out.trim().split('\n')).toEqual(['ann 25', 'all: ann 25', 'all: bob 7']);
});

test('the job of the README reads each row once, over two runs', () => {
  const directory = temporaryDirectory();
  const run = (): ReturnType<typeof runIn> =>
    runIn(directory, join(root, 'cli/main.ts'), 'run', join(root, 'examples/large-orders.ts'));
  mkdirSync(join(directory, 'orders'));
  writeFileSync(join(directory, 'orders/a.csv'), 'id,customer,total\n1,ann,50\n2,bob,150\n');
  expect(run()).toMatchObject({
    code: 0,
    out: expect.stringContaining('2 records in, 1 out') as string,
  });
  writeFileSync(join(directory, 'orders/b.csv'), 'id,customer,total\n3,"c, d",999.5\n');
  expect(run()).toMatchObject({
    code: 0,
    out: expect.stringContaining('1 records in, 1 out') as string,
  });
  const lines = readdirSync(join(directory, 'out'))
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => readFileSync(join(directory, 'out', name), 'utf8'));
  expect(lines.join('').trim().split('\n')).toEqual([
    '{"id":"2","customer":"bob","total":150}',
    '{"id":"3","customer":"c, d","total":999.5}',
  ]);
});

test('the commands of the README are scripts of the package', () => {
  for (const command of blocks('sh')
    .join('\n')
    .matchAll(/npm (?:run )?([a-z:]+)/g)) {
    const name = command[1]!;
    const isOfNpm = name === 'ci' || name === 'install';
    expect(isOfNpm || name in manifest.scripts).toBe(true);
  }
});

test('the files that the README names exist', () => {
  for (const [, path] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
    expect(() => readdirSync(join(root, path!, '..'))).not.toThrow();
    const name = path!.replace(/\/$/, '').split('/').at(-1)!;
    expect(readdirSync(join(root, path!, '..'))).toContain(name);
  }
});

test('what the README links to is in the npm package', () => {
  const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path]) => path!);
  expect(links.length).toBeGreaterThan(5);
  const isPacked = (path: string) =>
    manifest.files.includes(path) || manifest.files.includes(path.split('/')[0]!);
  expect(links.filter((path) => !isPacked(path))).toEqual([]);
});
