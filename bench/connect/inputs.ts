import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { CSV_HEADER, csvLineOf, rowOf } from './tasks.ts';

const WRITE_BYTES = 1024 * 1024;
/** Files of one directory. */
const FILES_PER_DIRECTORY = 1_000;
const ROWS_PER_FILE = 3;

/** Writes rows until the file has so many bytes; returns how many rows and bytes it has. */
export function writeRows(
  path: string,
  shape: 'jsonl' | 'csv',
  bytesMin: number,
): { readonly rows: number; readonly sizeBytes: number } {
  const file = openSync(path, 'w');
  let rows = 0;
  let sizeBytes = 0;
  let text = shape === 'csv' ? `${CSV_HEADER}\n` : '';
  const write = (): void => {
    sizeBytes += writeSync(file, text);
    text = '';
  };
  while (sizeBytes + text.length < bytesMin) {
    const row = rowOf(rows++);
    text += shape === 'csv' ? `${csvLineOf(row)}\n` : `${JSON.stringify(row)}\n`;
    if (text.length >= WRITE_BYTES) write();
  }
  write();
  closeSync(file);
  return { rows, sizeBytes };
}

/** Writes so many small files of JSON lines, in directories; returns their pattern and rows. */
export function writeFiles(
  directory: string,
  count: number,
): { readonly pattern: string; readonly rows: number } {
  for (let index = 0; index < count; index++) {
    const parent = join(directory, String(Math.floor(index / FILES_PER_DIRECTORY)));
    if (index % FILES_PER_DIRECTORY === 0) mkdirSync(parent, { recursive: true });
    const rows = Array.from({ length: ROWS_PER_FILE }, (_, row) => rowOf(index + row));
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
    writeFileSync(join(parent, `${String(index).padStart(7, '0')}.jsonl`), text);
  }
  return { pattern: `${directory}/*/*.jsonl`, rows: count * ROWS_PER_FILE };
}
