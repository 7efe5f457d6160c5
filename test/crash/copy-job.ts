import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { json, nodeFileSystem, string, topic } from '../../core/index.ts';
import { csv, fileSink, fileSource, jsonl, parquet } from '../../connect/index.ts';
import { defineJob, type Job } from '../../job/index.ts';
import { readOutput } from '../kit/output.ts';

interface Row {
  readonly id: number;
  readonly text: string;
}

const ROWS = 30_000;

const rows = topic('rows', {
  key: string(),
  value: json<Row>(),
  partitions: 2,
  // Small, so that much is deleted between kills.
  config: { segmentBytes: 1 << 17, maxMessageBytes: 1 << 17, fileDeleteDelayMs: 0 },
});

/** Writes the input of the copy into `directory`. */
export function writeRows(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const lines = Array.from({ length: ROWS }, (_, id) => `${id},${'x'.repeat(id % 50)}`);
  writeFileSync(join(directory, 'in.csv'), ['id,text', ...lines, ''].join('\n'));
}

/**
 * A copy that is killed repeatedly: to files that grow, and to files that are whole or nothing and
 * lag behind what was read.
 */
export function copyJob(directory: string): Job {
  const source = fileSource({
    path: join(directory, 'in.csv'),
    format: csv<Row>({ columns: { id: 'number' } }),
    topic: rows,
    key: ({ id }) => String(id),
  });
  const growing = fileSink({
    ...{ name: 'growing', topic: rows, path: join(directory, 'out-growing') },
    format: jsonl<object>(),
  });
  const whole = fileSink({
    ...{ name: 'whole', topic: rows, path: join(directory, 'out-whole'), partRecords: 4_000 },
    format: parquet<Row>({ columns: ['id', 'text'] }),
  });
  return defineJob({
    name: 'copy',
    source: { source, commitRecordsMax: 1_000 },
    sinks: [
      { sink: growing, commitIntervalMs: 10 },
      { sink: whole, commitIntervalMs: 10 },
    ],
  });
}

/** The ids that each sink has written, sorted. */
export async function writtenIds(directory: string): Promise<readonly number[][]> {
  const outputs = ['out-growing', 'out-whole'].map(async (folder) => {
    const parts = await readOutput(nodeFileSystem, join(directory, folder));
    const ids = parts.flatMap((part) => part.rows.map((row) => (row as Row).id));
    return ids.sort((a, b) => a - b);
  });
  return Promise.all(outputs);
}

/** The ids that each of them must have written. */
export function expectedIds(): readonly number[][] {
  const ids = Array.from({ length: ROWS }, (_, id) => id);
  return [ids, ids];
}
