import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { COMMAND, startMillrace } from './kit/command.ts';
import { until } from './kit/connect-rest.ts';
import { ROOT } from './kit/root.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const hasCurl = spawnSync('curl', ['--version']).status === 0;

/** The blocks of the section with this heading. */
function blocksBelow(heading: string): string[] {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [, section = ''] = readme.split(`\n## ${heading}\n`);
  const [own = ''] = section.split('\n## ');
  return [...own.matchAll(/^```\w+\n([\s\S]*?)^```$/gm)].map(([, block]) => block!);
}

/** A pattern for a text in which `...` stands for anything. */
function patternOf(text: string): RegExp {
  const parts = text.trim().split('...');
  const escaped = parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('[^]*')}$`);
}

/** Writes a program for the shell. */
function addProgram(directory: string, name: string, script: string): void {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

if (!hasCurl) process.stderr.write('the README’s session is not run: there is no curl\n');

test.skipIf(!hasCurl)(
  '[CONNECT-REST-12] the session with curl answers what the README says',
  async () => {
    const [start = '', session = '', answers = ''] = blocksBelow('Connectors over REST');
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'orders.csv'), 'id,total\n1,50\n');
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    // Each answer on a line of its own.
    addProgram(bin, 'curl', `PATH="${process.env['PATH'] ?? ''}" curl "$@" && echo`);
    addProgram(bin, 'millrace', `exec "${process.execPath}" "${COMMAND}" "$@" --url "$URL"`);
    // Port 8083 may be taken.
    const args = start.trim().split(' ').slice(1).join(' ').replace('8083', '0').split(' ');
    const running = startMillrace(directory, ...args);
    onTestFinished(() => void running.child.kill('SIGKILL'));
    const url = (): string | undefined => /served at (\S+)/.exec(running.err())?.[1];
    await until(() => url() !== undefined);
    const script = session.replaceAll('localhost:8083', url()!.slice('http://'.length));
    const path = [bin, process.env['PATH']].join(delimiter);
    const { stdout, stderr, status } = spawnSync('sh', ['-e', '-c', script], {
      ...{ cwd: directory, encoding: 'utf8', env: { ...process.env, PATH: path, URL: url() } },
    });
    expect([status, stderr]).toEqual([0, '']);
    const printed = stdout.split('\n').filter((line) => line !== '');
    const expected = answers.trim().split('\n');
    expect(printed).toHaveLength(expected.length);
    for (const [index, line] of printed.entries())
      expect(line).toMatch(patternOf(expected[index]!));
  },
  60_000,
);
