import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { expect, test } from 'vitest';
import { csv, fileSink, fileSource, lines, verifyOutput } from '../connect/index.ts';
import { json, string, topic } from '../core/index.ts';
import { defineJob, runJob } from '../job/index.ts';
import { ROOT } from './kit/root.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

type Row = Readonly<Record<string, string>>;

const FOLDER = join(ROOT, 'node_modules/vega-datasets/data');
const FILES = ['birdstrikes.csv', 'zipcodes.csv'];
const texts = topic('texts', { key: string(), value: string(), partitions: 1 });
const rows = topic('rows', { key: string(), value: json<Row>(), partitions: 1 });

/** All that a sink has written, its parts in their order. */
function outputOf(directory: string): Buffer {
  const parts = readdirSync(directory)
    .filter((name) => name !== 'manifest.json')
    .sort();
  return Buffer.concat(parts.map((name) => readFileSync(join(directory, name))));
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test.each(FILES)('[JOB-COPY-1] a copy of the lines of %s has its checksum', async (file) => {
  const directory = temporaryDirectory();
  const path = join(FOLDER, file);
  const out = join(directory, 'out');
  const job = defineJob({
    name: 'copy',
    source: fileSource({ path, format: lines(), topic: texts, key: () => null }),
    sink: fileSink({ topic: texts, path: out, format: lines() }),
  });
  await runJob(job, { directory: join(directory, 'log') });
  // Lines are written with line feeds.
  const given = readFileSync(path, 'utf8').replaceAll('\r\n', '\n');
  const text = given.endsWith('\n') ? given : `${given}\n`;
  expect(digest(outputOf(out))).toBe(digest(Buffer.from(text)));
  expect((await verifyOutput(out)).problems).toEqual([]);
});

test.each(FILES)('[JOB-COPY-1] a copy of the rows of %s has all its values', async (file) => {
  const directory = temporaryDirectory();
  const path = join(FOLDER, file);
  const out = join(directory, 'out');
  const job = defineJob({
    name: 'copy',
    source: fileSource({ path, format: csv<Row>(), topic: rows, key: () => null }),
    sink: fileSink({ topic: rows, path: out, format: csv<Row>() }),
  });
  await runJob(job, { directory: join(directory, 'log') });
  const read = (bytes: Uint8Array): string => JSON.stringify(parse(Buffer.from(bytes)));
  expect(read(outputOf(out))).toBe(read(readFileSync(path)));
});
