import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { compiledPackage } from './compiled.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** A job that copies `in.csv` (columns id and total) to `out`, with changes to its text. */
function writeJob(directory: string, changes: Readonly<Record<string, string>> = {}): void {
  let text = `
    import { json, string, topic } from 'millrace';
    import { csv, fileSink, fileSource, jsonl, parquet } from 'millrace/connect';
    import { defineJob } from 'millrace/job';
    type Row = { id: string; total: number };
    const rows = topic('rows', { key: string(), value: json<Row>(), partitions: 2 });
    const copy = topic('copy', { key: string(), value: json<Row>() });
    export default defineJob({
      name: 'copy',
      sources: [fileSource({
        path: 'in.csv',
        format: csv<Row>({ columns: { total: 'number' } }),
        topic: rows,
        key: (row) => row.id,
      })],
      topology: (builder) => builder.stream(rows).to(copy),
      sinks: [fileSink({ topic: copy, path: 'out', format: jsonl() })],
    });
  `;
  for (const [from, to] of Object.entries(changes)) {
    expect(text).toContain(from);
    text = text.replace(from, to);
  }
  writeFileSync(join(directory, 'job.ts'), text);
}

/** Creates a directory with that job and its input. */
export function prepare(
  rows = ['1,10', '2,20'],
  changes: Readonly<Record<string, string>> = {},
): string {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'node_modules'));
  symlinkSync(compiledPackage(), join(directory, 'node_modules/millrace'), 'dir');
  writeJob(directory, changes);
  writeFileSync(join(directory, 'in.csv'), ['id,total', ...rows, ''].join('\n'));
  return directory;
}

/** The lines that the job has written. */
export function outputOf(directory: string): string[] {
  const names = readdirSync(join(directory, 'out')).filter((name) => name.endsWith('.jsonl'));
  const texts = names.map((name) => readFileSync(join(directory, 'out', name), 'utf8'));
  return texts.flatMap((text) => text.trimEnd().split('\n'));
}

/** For `writeJob`: an endless second source that yields a row from time to time. */
export const ENDLESS = {
  'fileSource({': `{
    name: 'endless', topics: [rows], isBounded: false,
    open: async ({ signal }) => [{
      poll: () => new Promise((resolve) => {
        const records = [{ topic: rows, key: 'k', value: { id: 'x'.repeat(500), total: 1 } }];
        const batch = { records, partition: { p: '1' }, offset: { at: 1 } };
        setTimeout(() => resolve(signal.aborted ? undefined : batch), 20);
      }),
      close: async () => {},
    }],
  }, fileSource({`,
} as const;
