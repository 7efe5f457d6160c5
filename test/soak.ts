/**
 * Looks for what happens once in a million times: simulated crashes of the log, and of all that
 * works on it, under ever new seeds, each failure of the disk, each flipped byte, then clients that
 * are killed a thousand times. Takes hours; ends at the first failure, which names its seed.
 * `npm run soak -- --crashes 1000000 --kills 1000 --seed 1`
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    crashes: { type: 'string', default: '1000000' },
    kills: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
  },
});
const [crashes, kills, firstSeed] = [
  Number(values.crashes),
  Number(values.kills),
  Number(values.seed),
];
if (![crashes, kills, firstSeed].every((each) => Number.isSafeInteger(each) && each >= 0)) {
  console.error('usage: npm run soak -- [--crashes NUMBER] [--kills NUMBER] [--seed NUMBER]');
  process.exit(2);
}
const directory = mkdtempSync(join(tmpdir(), 'millrace-soak-'));

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly meta?: { readonly simulated?: number } }[];
  }[];
}

/** Runs a test file; returns how many crashes it has simulated. */
function run(file: string, environment: Readonly<Record<string, string>>): number {
  const report = join(directory, 'report.json');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', file, ...reporters], {
    env: { ...process.env, ...environment },
    stdio: 'inherit',
  });
  if (status !== 0) {
    console.error(`failed with ${JSON.stringify(environment)}`);
    process.exit(1);
  }
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  return tests.reduce((sum, { meta }) => sum + (meta?.simulated ?? 0), 0);
}

/** Runs of clients of all kinds beside each simulation of the log: they take about as long. */
const RUNS = 4;
const JOURNALS = 200;

for (let [done, seed] = [0, firstSeed]; done < crashes; seed++) {
  const environment = { SIM_SEED: String(seed), SIM_OUTCOMES: '200', SIM_SAMPLE: '200' };
  done += run('core/log/simulation.test.ts', environment);
  const journals = { SIM_SEED: String(seed * JOURNALS), SIM_JOURNALS: String(JOURNALS) };
  done += run('core/log/journal-simulation.test.ts', journals);
  const runs = { SIM_SEED: String(seed * RUNS), SIM_RUNS: String(RUNS), SIM_LIVES: '30' };
  done += run('test/simulation/simulation.test.ts', runs);
  console.log(`${done.toLocaleString('en')} simulated crashes, seeds ${firstSeed} to ${seed}`);
}
run('test/simulation/failing-operations.test.ts', { FAULT_STRIDE: '1' });
run('test/simulation/flipped-bytes.test.ts', { FLIP_STRIDE: '1' });
if (kills > 0) run('test/crash/clients.test.ts', { KILLS: String(kills), SEED: String(firstSeed) });
rmSync(directory, { recursive: true, force: true });
console.log(`done: ${kills.toLocaleString('en')} kills`);
