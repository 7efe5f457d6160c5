/**
 * How many records a second do Nexmark's queries process, exactly once with a commit every 100 ms?
 * One application a query, one partition a topic, on a log that has all events already; from the
 * start of the application to the commit of its last result. A record is one that the query reads:
 * those of topics that it does not read do not count. Per core: divided by the CPU time that the
 * whole process took instead, with the log, the compiler and the garbage collector.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog } from 'millrace';
import { benchSettings, keep } from './harness.ts';
import { queries } from './nexmark/queries.ts';
import { outputOf, runQuery, writeEvents } from './nexmark/running.ts';

const settings = benchSettings(500_000);
const { rounds, isSmoke } = settings;
/** Beam's rate, so that 500,000 events are fifty seconds. */
const nexmark = { seed: 1, eventsPerSecond: 10_000 };
const rates = new Map(queries.map(({ name }) => [name, [] as number[]]));
const coreRates = new Map(queries.map(({ name }) => [name, [] as number[]]));

const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
try {
  await using log = await openLog(directory);
  const counts = await writeEvents(log, nexmark, settings.records);
  // The first round is a warm-up and does not count.
  for (let round = isSmoke ? 1 : 0; round <= rounds; round++) {
    for (const query of queries) {
      const records = query.inputs.reduce((sum, { name }) => sum + (counts.get(name) ?? 0), 0);
      const [startMs, cpu] = [performance.now(), process.cpuUsage()];
      await runQuery(log, query, nexmark, round);
      const seconds = (performance.now() - startMs) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      const [offsets] = await log.admin().offsets(outputOf(query, round).name);
      if ((offsets?.latest ?? 0) === 0) throw new Error(`${query.name} wrote nothing`);
      await log.admin().deleteTopics([outputOf(query, round).name]);
      if (round === 0) continue;
      rates.get(query.name)?.push(records / seconds);
      coreRates.get(query.name)?.push((records * 1e6) / (user + system));
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}

console.log(`\nNexmark  (${settings.records.toLocaleString('en')} events, ${rounds} rounds)`);
console.log(`  ${''.padEnd(52)} ${'records/s'.padStart(11)} ${'a core'.padStart(9)}  spread`);
for (const { name, title } of queries) {
  const [all = [], core = []] = [rates.get(name), coreRates.get(name)];
  const spread = `${thousands(Math.min(...all))}..${thousands(Math.max(...all))}`;
  console.log(
    `  ${`${name}  ${title}`.padEnd(52)} ${thousands(median(all)).padStart(11)} ` +
      `${thousands(median(core)).padStart(9)}  ${spread}`,
  );
}
const notes = {
  ...{ commitIntervalMs: 100, processingGuarantee: 'exactly_once', partitions: 1, ...nexmark },
};
for (const [title, found] of [
  ['nexmark', rates],
  ['nexmark, by CPU time', coreRates],
] as const) {
  const figures = [...found].map(([name, values]) => ({ name, values }));
  keep(settings, { title, unit: 'per second', figures, notes });
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? NaN;
}

function thousands(perSecond: number): string {
  return `${(perSecond / 1000).toFixed(0)} k`;
}
