import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { median, readResults, type Result } from './harness.ts';
import { barChart, lineChart, short, type Measured } from './svg.ts';

const HOME = fileURLToPath(new URL('.', import.meta.url));
/** More would be no table to read: those results have only their lines in the file. */
const FIGURES_MAX = 30;

/** Results that stand in one section of README.md, between its marks. */
interface Section {
  readonly name: string;
  readonly file: string;
  /** Which results of the file. */
  readonly has: (result: Result) => boolean;
  /** How to get results where there are none. */
  readonly command: string;
  readonly charts: readonly Chart[];
}

interface Chart {
  /** `<file>.svg` */
  readonly file: string;
  readonly title: string;
  /** The results that it shows. */
  readonly shows: (result: Result) => boolean;
  /** What the sizes of a line chart are; undefined for bars. */
  readonly axis?: string;
}

const isRate = ({ unit }: Result): boolean => unit === 'per second';
const isClient = ({ title }: Result): boolean => /^(produce|consume)/.test(title);
const isNexmark = ({ title }: Result): boolean => title.startsWith('nexmark');
const isGrowth = (axis: string, what: RegExp) => (result: Result) =>
  result.title.startsWith(`growth by ${axis}: `) && what.test(result.title);
const RATE = /: records$/;
const MEMORY = /: (heap|resident|mapped files)$/;

const SECTIONS: readonly Section[] = [
  {
    ...{ name: 'kafka', file: 'kafka/results.ndjson', command: 'npm run bench:kafka' },
    has: () => true,
    charts: [
      {
        ...{ file: 'kafka-topologies', title: 'Topologies, exactly once' },
        shows: (result) => isRate(result) && !isClient(result),
      },
      {
        ...{ file: 'kafka-clients', title: 'Producers and consumers' },
        shows: (result) => isRate(result) && isClient(result),
      },
      {
        ...{ file: 'kafka-latency', title: 'End to end at 10,000 records/s, exactly once' },
        shows: ({ title }) => title.startsWith('end-to-end'),
      },
      {
        ...{ file: 'kafka-restart', title: 'Restart with state, and start-up' },
        shows: ({ title }) => /^(restart after SIGKILL|start-up), first/.test(title),
      },
      {
        ...{ file: 'kafka-memory', title: 'Peak memory' },
        shows: ({ title }) => title.startsWith('memory'),
      },
    ],
  },
  {
    ...{ name: 'connect', file: 'connect/results.ndjson', command: 'npm run bench:connect' },
    has: () => true,
    charts: [], // beside cat, all other bars would be short
  },
  {
    ...{ name: 'growth', file: 'growth.ndjson', command: 'npm run bench:growth' },
    has: () => true,
    charts: ['keys', 'partitions', 'windows'].flatMap((axis) => [
      {
        ...{ file: `growth-${axis}`, title: `Growth by ${axis}: rate`, axis },
        shows: isGrowth(axis, RATE),
      },
      {
        ...{ file: `growth-${axis}-memory`, title: `Growth by ${axis}: memory`, axis },
        shows: isGrowth(axis, MEMORY),
      },
    ]),
  },
  {
    ...{ name: 'nexmark', file: 'results.ndjson', command: 'npm run bench:nexmark' },
    has: isNexmark,
    charts: [{ file: 'nexmark', title: 'Nexmark', shows: isRate }],
  },
  {
    ...{ name: 'loop', file: 'results.ndjson', command: 'npm run bench' },
    has: (result) => !isNexmark(result),
    charts: [
      {
        ...{ file: 'loop-topologies', title: 'Topologies beside a hand-written loop' },
        shows: ({ title, ...result }) =>
          isRate({ title, ...result }) && /^(stateless|count|final|join)/.test(title),
      },
      {
        ...{ file: 'loop-clients', title: 'Producers and consumers beside a hand-written loop' },
        shows: (result) => isRate(result) && isClient(result),
      },
    ],
  },
];

/** README.md and the charts as they are to be, by file name. */
export async function renderPages(): Promise<Map<string, string>> {
  const pages = new Map<string, string>();
  let readme = readFileSync(`${HOME}README.md`, 'utf8');
  for (const { name, file, has, command, charts } of SECTIONS) {
    const results = newest(readResults(HOME + file)).filter(has);
    const images: string[] = [];
    for (const chart of charts) {
      const shown = results.filter(chart.shows);
      if (shown.length === 0) continue;
      pages.set(`${chart.file}.svg`, draw(chart, shown));
      images.push(`![${chart.title}](${chart.file}.svg)`);
    }
    const text =
      results.length === 0
        ? `No results are kept yet: \`${command}\` measures them.`
        : [...images, ...tables(results, file)].join('\n\n');
    readme = between(readme, name, text);
  }
  const options = (await resolveConfig(`${HOME}README.md`)) ?? {};
  pages.set('README.md', await format(readme, { ...options, parser: 'markdown' }));
  return pages;
}

/** Brings README.md and the charts up to date with the results. */
export async function writePages(): Promise<void> {
  for (const [name, text] of await renderPages()) writeFileSync(HOME + name, text);
}

/** The last of each title. */
function newest(results: readonly Result[]): Result[] {
  return [...new Map(results.map((result) => [result.title, result])).values()];
}

function draw({ title, axis }: Chart, results: readonly Result[]): string {
  const [{ unit } = { unit: '' }] = results;
  if (axis === undefined) {
    const groups = results.map((result) => ({ title: result.title, bars: measured(result) }));
    return barChart(title, unit, groups);
  }
  const lines = results.map((result) => ({
    name: result.title.replace(/.*: /, ''),
    points: measured(result).map(({ name, middle }) => ({ at: Number(name), value: middle })),
  }));
  return lineChart(title, unit, axis, lines);
}

function measured({ figures }: Result): Measured[] {
  return figures.map(({ name, values }) => {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return { name, middle: median(values), least, most };
  });
}

/** One table for each machine and commit. */
function tables(results: readonly Result[], file: string): string[] {
  const byRun = new Map<string, Result[]>();
  for (const result of results) {
    const run = describeRun(result);
    byRun.set(run, [...(byRun.get(run) ?? []), result]);
  }
  return [...byRun].map(([run, all]) => {
    const rows = all.flatMap((result) => rowsOf(result));
    const head = '| what | | median | spread | of the first |\n| --- | --- | ---: | ---: | ---: |';
    const long = all.filter(({ figures }) => figures.length > FIGURES_MAX);
    const names = long.map(({ title }) => `"${title}"`).join(', ');
    const left = names === '' ? '' : `\n\nThe many figures of ${names} stand in \`${file}\`.`;
    return `${run}:\n\n${[head, ...rows].join('\n')}${left}`;
  });
}

function describeRun({ at, commit, rounds, machine }: Result): string {
  const { node, cpu = 'an unknown processor', cpus, memory } = machine;
  const gigabytes = Math.round(memory / 1e9);
  const where = `${cpus} cores of ${cpu}, ${gigabytes} GB, Node ${node}`;
  return `${at.slice(0, 10)}, commit ${commit ?? 'unknown'}, rounds: ${rounds}, ${where}`;
}

function rowsOf(result: Result): string[] {
  const { title, unit, records } = result;
  const all = measured(result);
  if (all.length > FIGURES_MAX) return [];
  const first = all[0]?.middle ?? NaN;
  return all.map(({ name, middle, least, most }, index) => {
    const what = index === 0 ? `${title} (${short(records)} records)` : '';
    const spread = `${short(least)} to ${short(most)}`;
    const multiple = `${(middle / first).toFixed(2)}x`;
    const value = `${short(middle)}${unit === 'per second' ? '/s' : ` ${unit}`}`;
    return `| ${what} | ${name} | ${value} | ${spread} | ${multiple} |`;
  });
}

/** Replaces what stands between the marks of a section. */
function between(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new TypeError(`README.md has no marks for ${name}`);
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
}
