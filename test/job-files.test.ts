import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseConfigDocument } from '../connect/index.ts';
import { STEP_DOCS } from '../job/file/steps.ts';
import { millrace, startMillrace } from './kit/command.ts';
import { issuesOf, jobContent, jobOf } from './kit/job-file.ts';
import { ROOT } from './kit/root.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const page = readFileSync(join(ROOT, 'docs/JOB-FILES.md'), 'utf8');

/** The blocks of the page: whole files by name, and lists of steps. */
function blocks(kind: 'file' | 'steps'): { readonly name: string; readonly text: string }[] {
  const fence =
    kind === 'file' ? /^```yaml file=(\S+)\n([^]*?)^```$/gm : /^```yaml (steps)\n([^]*?)^```$/gm;
  return [...page.matchAll(fence)].map(([, name = '', text = '']) => ({ name, text }));
}

const CLICKS = [
  'at,page,status,bytes,user',
  '2026-01-01T00:10:00Z,/docs,ok,100,u1',
  '2026-01-01T00:20:00Z,/,late,50,u2',
  '2026-01-01T00:50:00Z,/docs,ok,300,u1',
  '2026-01-01T01:10:00Z,/docs,ok,10,u2',
];

/** A directory with the files of the page, and their input. */
function prepare(): string {
  const directory = temporaryDirectory();
  for (const { name, text } of blocks('file')) writeFileSync(join(directory, name), text);
  for (const folder of ['clicks', 'orders']) mkdirSync(join(directory, folder));
  writeFileSync(join(directory, 'clicks/1.csv'), `${CLICKS.join('\n')}\n`);
  writeFileSync(join(directory, 'pages.csv'), 'page,title\n/docs,Documentation\n/,Home\n');
  writeFileSync(
    join(directory, 'orders/1.jsonl'),
    '{"id":"a","total":1}\nno json\n{"id":"b","total":2}\n',
  );
  return directory;
}

/** The lines in an output, sorted. */
function linesIn(directory: string, folder: string): string[] {
  return readdirSync(join(directory, folder))
    .filter((name) => /\.(jsonl|csv)$/.test(name))
    .flatMap((name) =>
      readFileSync(join(directory, folder, name), 'utf8')
        .trim()
        .split('\n'),
    )
    .sort();
}

test('[JOB-YAML-5] the first job of the page counts clicks, over two runs', () => {
  const directory = prepare();
  const run = () => millrace(directory, 'run', 'clicks.yaml');
  expect(run()).toMatchObject({
    code: 0,
    out: expect.stringContaining('4 records in, 2 out') as string,
  });
  const [first, second] = [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 1, 1)];
  const at = (startMs: number): string => {
    return `"page":"/docs","windowStartMs":${startMs},"windowEndMs":${startMs + 3_600_000}`;
  };
  const expected = [
    `{${at(first)},"clicks":2,"bytes":400,"largest":300}`,
    `{${at(second)},"clicks":1,"bytes":10,"largest":10}`,
  ];
  expect(linesIn(directory, 'out/by-page')).toEqual(expected);
  writeFileSync(join(directory, 'clicks/2.csv'), `${CLICKS[0]}\n2026-01-01T02:10:00Z,/x,ok,5,u1\n`);
  expect(run()).toMatchObject({ code: 0 });
  expect(linesIn(directory, 'out/by-page')).toHaveLength(3);
}, 60_000);

test('[JOB-YAML-5] the job with a table joins, and ranks', () => {
  const directory = prepare();
  expect(millrace(directory, 'run', 'titles.yaml')).toMatchObject({ code: 0 });
  expect(linesIn(directory, 'out/clicks')).toEqual([
    ...Array.from({ length: 3 }, () => '{"title":"Documentation","status":"ok"}'),
    '{"title":"Home","status":"late"}',
  ]);
  const last = linesIn(directory, 'out/top').at(-1);
  expect(last).toBe('{"rows":[{"title":"Documentation","count":3}]}');
}, 60_000);

test('[JOB-YAML-5] the nightly copy stays, or runs once, with a dead letter', async () => {
  const directory = prepare();
  const once = millrace(directory, 'run', 'nightly.yaml', '--once');
  expect(once).toMatchObject({ code: 0 });
  expect(once.out).toContain('2 records in, 2 out, 1 dead letters');
  expect(linesIn(directory, 'out/orders')).toEqual(['a,1', 'b,2', 'id,total']);
  const letters = millrace(directory, 'dlq', 'list', '--data', './data');
  expect(letters.out).toContain('orders-in');
  const staying = startMillrace(directory, 'run', 'nightly.yaml');
  while (!/nightly runs next at \d{4}-\d\d-\d\dT\d\d:30:00.000Z/.test(staying.err())) {
    await new Promise((resolve) => staying.child.stderr?.once('data', resolve));
  }
  staying.child.kill('SIGTERM');
  expect(await staying.ended).toBe(143);
}, 60_000);

test('[JOB-YAML-5] the steps of the page are checked, and all of them are there', async () => {
  const named = new Set<string>();
  for (const { text } of blocks('steps')) {
    const { content } = await parseConfigDocument('steps.yaml', text);
    for (const [index, step] of (content as object[]).entries()) {
      const [name = ''] = Object.keys(step);
      named.add(name);
      const renamed = { ...step, [name]: withTable((step as Record<string, unknown>)[name]) };
      expect([text, index, await issuesOf(jobContent([renamed]))]).toEqual([text, index, []]);
      expect((await jobOf(jobContent([renamed]))).isJob).toBe(true);
    }
  }
  expect([...named].sort()).toEqual(STEP_DOCS.map(([name]) => name).sort());
});

/** The table of the page is called `pages`, that of the tests `rows`. */
function withTable(config: unknown): unknown {
  const isJoin = typeof config === 'object' && config !== null && 'table' in config;
  return isJoin ? { ...config, table: 'rows' } : config;
}

test('[JOB-YAML-1] the example over real data writes what a plain loop finds', () => {
  const directory = temporaryDirectory();
  const file = join(directory, 'birdstrikes.yaml');
  const text = readFileSync(join(ROOT, 'examples/birdstrikes.yaml'), 'utf8');
  writeFileSync(
    file,
    text
      .replace('node_modules/', join(ROOT, 'node_modules/'))
      .replace('path: data/birdstrikes-by-state', `path: ${join(directory, 'out')}`),
  );
  expect(millrace(directory, 'run', file)).toMatchObject({ code: 0 });
  const written = linesIn(directory, 'out').map((line) => JSON.parse(line) as Month);
  expect(written.map(textOf).sort()).toEqual([...strikesByState().values()].map(textOf).sort());
  expect(written.length).toBeGreaterThan(1_000);
}, 60_000);

interface Month {
  readonly 'Origin State': string;
  readonly windowStartMs: number;
  strikes: number;
  cost: number;
  dearest: number;
}

function textOf(month: Month): string {
  const { windowStartMs, strikes, cost, dearest } = month;
  return `${month['Origin State']} ${windowStartMs} ${strikes} ${cost} ${dearest}`;
}

/** The same, by hand. */
function strikesByState(): Map<string, Month> {
  const path = join(ROOT, 'node_modules/vega-datasets/data/birdstrikes.csv');
  const [head = '', ...lines] = readFileSync(path, 'utf8').trim().split('\n');
  const names = fieldsOf(head);
  const months = new Map<string, Month>();
  const DAYS_MS = 30 * 86_400_000;
  for (const line of lines) {
    const fields = fieldsOf(line);
    const row: Readonly<Record<string, string | undefined>> = Object.fromEntries(
      fields.map((field, index) => [names[index] ?? '', field]),
    );
    if (row['Wildlife Size'] !== 'Medium' && row['Wildlife Size'] !== 'Large') continue;
    const state = row['Origin State'] ?? '';
    const timeMs = Date.parse(row['Flight Date'] ?? '');
    const windowStartMs = timeMs - (timeMs % DAYS_MS);
    const key = `${state} ${windowStartMs}`;
    const month = months.get(key) ?? {
      ...{ 'Origin State': state, windowStartMs, strikes: 0, cost: 0, dearest: -Infinity },
    };
    const cost = Number(row['Cost Total $']);
    month.strikes++;
    month.cost += cost;
    month.dearest = Math.max(month.dearest, cost);
    months.set(key, month);
  }
  return months;
}

/** The fields of a line of CSV. */
function fieldsOf(line: string): string[] {
  return Array.from(line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g), ([, quoted, plain]) => {
    return (quoted ?? plain ?? '').replaceAll('""', '"').trim();
  });
}
