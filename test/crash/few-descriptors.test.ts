import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { compiledProgram } from '../kit/compiled.ts';
import { temporaryDirectory } from '../kit/temporary-directory.ts';

const PARTITIONS = 210;
const LIMIT = 256;

/** Runs the program with at most LIMIT descriptors; kills it once it has printed `killAt`. */
function run(directory: string, mode: string, killAt?: string): Promise<string> {
  const script = compiledProgram('test/crash/few-descriptors-process.ts');
  const program = `"${process.execPath}" "${script}"`;
  const command = `ulimit -n ${LIMIT}; exec ${program} "${directory}" ${mode} ${PARTITIONS}`;
  const child = spawn('/bin/sh', ['-c', command], { stdio: 'pipe' });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (text) => {
    output += String(text);
    if (killAt !== undefined && output.includes(killAt)) child.kill('SIGKILL');
  });
  child.stderr.on('data', (text) => (errors += String(text)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0 || signal === 'SIGKILL') resolve(output);
      else reject(new RangeError(`exit ${code}: ${errors}`));
    });
  });
}

test.skipIf(process.platform !== 'linux')(
  `[STORAGE-19] [TXN-1] kill -9 with ${2 * PARTITIONS} partitions and ${LIMIT} descriptors`,
  async () => {
    const directory = temporaryDirectory();
    expect(await run(directory, 'write', 'written\n')).toBe('written\n');
    const { found, descriptors } = JSON.parse(await run(directory, 'read')) as {
      readonly found: Readonly<Record<string, number>>;
      readonly descriptors: number;
    };
    const acknowledged = ['0', '1', '2'].flatMap((value) => [`plain ${value}`, `moved ${value}`]);
    for (const name of acknowledged) expect([name, found[name]]).toEqual([name, PARTITIONS]);
    expect(found['moved open']).toBeUndefined();
    expect(descriptors).toBeLessThan(LIMIT);
    // Files keep their descriptors until others need them, so half the limit is in use.
    expect(descriptors).toBeGreaterThan(LIMIT / 2);
  },
  120_000,
);
