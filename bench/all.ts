/**
 * Runs all benchmarks, or those that are named, one after the other, and appends their results to
 * `results.ndjson` with the machine and the commit. Prints how each has changed since the last run
 * on such a machine. `--smoke` only checks that they still work, and stores nothing.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { changesBetween, currentCommit, readResults } from './harness.ts';
import { writePages } from './pages.ts';

const BENCHES = [
  ...[
    'produce',
    'consume',
    'streams',
    'nexmark',
    'joins',
    'tables',
    'commit',
    'compression',
    'compaction',
    'sizes',
    'groups',
  ],
  ...['restart', 'open'],
];
const RESULTS = fileURLToPath(new URL('results.ndjson', import.meta.url));
const { values, positionals } = parseArgs({
  options: { smoke: { type: 'boolean', default: false } },
  allowPositionals: true,
});

const before = values.smoke ? [] : readResults(RESULTS);
const commit = values.smoke ? undefined : currentCommit();
const failed: string[] = [];
/** Has results of its own: here it is only checked. */
const SMOKED = [...BENCHES, 'connect/main'];
const names = values.smoke ? SMOKED : BENCHES;

for (const name of positionals.length > 0 ? positionals : names) {
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const settings = values.smoke ? ['--smoke'] : ['--results', RESULTS, '--commit', String(commit)];
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', file, ...settings], {
    stdio: 'inherit',
  });
  if (status !== 0) failed.push(name);
}
const after = values.smoke ? [] : readResults(RESULTS).slice(before.length);
if (after.length > 0) console.log('\nchange since the last run on such a machine');
for (const line of changesBetween(before, after)) console.log(`  ${line}`);
if (!values.smoke) await writePages();
if (failed.length > 0) console.error(`\nFAILED: ${failed.join(', ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;
