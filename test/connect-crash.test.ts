import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { json, openLog, seededRandom, silentLogger, string, topic } from '../core/index.ts';
import type { Manifest } from '../connect/index.ts';
import { runChild } from './kit/child.ts';
import { readValues } from './kit/read-topic.ts';
import { temporaryDirectory } from './kit/temporary-directory.ts';

const PROGRAM = 'test/kit/connect-process.ts';
/** Files of this many rows; a chunk of a file is a few hundred of them. */
const FILES = 4;
const ROWS_PER_FILE = 3000;

/** A few lines per row, so that the file is cut into several chunks. */
function rowText(id: number): string {
  return `ä${id} "🚀"\r\n${'x'.repeat(700 + (id % 50))}`;
}

/** Makes the input: files of CSV with quotes, line ends and characters of several bytes. */
function makeInput(directory: string): void {
  mkdirSync(join(directory, 'in'));
  for (let file = 0; file < FILES; file++) {
    const rows = Array.from({ length: ROWS_PER_FILE }, (_, row) => {
      const id = file * ROWS_PER_FILE + row;
      return `${id},"${rowText(id).replaceAll('"', '""')}"`;
    });
    writeFileSync(join(directory, `in/${file}.csv`), `\uFEFFid,text\r\n${rows.join('\r\n')}`);
  }
}

/**
 * Runs the program until it ends or dies; kills it `killAfterMs` after its first work, if given.
 */
async function live(
  directory: string,
  args: readonly string[],
  killAfterMs?: number,
): Promise<'done' | 'killed'> {
  const kill =
    killAfterMs === undefined ? undefined : { afterMs: killAfterMs, since: 'output' as const };
  const { how, output } = await runChild(PROGRAM, [directory, ...args], kill);
  if (how === 'SIGKILL') return 'killed';
  if (how !== '0' || !output.includes('done')) throw new TypeError(`${how} ${output}`);
  return 'done';
}

/** Compares topic and output with the input: each row once, and in order within its partition. */
async function verify(directory: string): Promise<void> {
  const expected = Array.from({ length: FILES * ROWS_PER_FILE }, (_, id) => {
    return { id: String(id), text: rowText(id) };
  });
  const byId = (a: { id: string }, b: { id: string }) => Number(a.id) - Number(b.id);
  const rows = topic('rows', { key: string(), value: json<{ id: string; text: string }>() });
  await using log = await openLog(join(directory, 'data'), { logger: silentLogger });
  const inTopic = (await readValues(log, rows, 'read_committed')) as typeof expected;
  expect(inTopic.toSorted(byId)).toEqual(expected);

  const out = join(directory, 'out');
  const manifest = JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')) as Manifest;
  expect(manifest.complete).toBe(true);
  const inFiles: typeof expected = [];
  for (const part of manifest.parts) {
    const bytes = readFileSync(join(out, part.file));
    expect(bytes).toHaveLength(part.sizeBytes);
    expect(crc32(bytes).toString(16).padStart(8, '0')).toBe(part.crc32);
    const lines = bytes.toString('utf8').trimEnd().split('\n');
    inFiles.push(...lines.map((line) => JSON.parse(line) as (typeof expected)[number]));
  }
  // Parts are listed by partition and number, as `readValues` reads the topic.
  expect(inFiles).toEqual(inTopic);
}

test('[CONNECT-SOURCE-1] [CONNECT-FILES-1] kill -9 at each step of the commits', async () => {
  const directory = temporaryDirectory();
  makeInput(directory);
  const steps = [
    ...['source-1-flush 2', 'source-2-offsets 2', 'source-3-end 2', 'source-4-committed 2'],
    ...['sink-1-output 1', 'file-1-write 1', 'file-2-sync 1', 'file-3-names 1'],
    ...['file-4-manifest 1', 'file-5-committed 1', 'sink-2-offsets 1', 'sink-3-committed 1'],
  ];
  for (const step of steps) {
    expect([step, await live(directory, step.split(' '))]).toEqual([step, 'killed']);
  }
  expect(await live(directory, [])).toBe('done');
  await verify(directory);
}, 120_000);

test.each([20260101])(
  '[CONNECT-SOURCE-1] [CONNECT-FILES-1] kill -9 at calls of the disk and at any moment (seed %i)',
  async (seed) => {
    const random = seededRandom(seed);
    const directory = temporaryDirectory();
    makeInput(directory);
    let kills = 0;
    for (let round = 0; round < 6; round++) {
      const call = String(1 + Math.floor(random.next() * 400));
      if ((await live(directory, ['call', call])) === 'killed') kills++;
      if ((await live(directory, [], random.next() * 150)) === 'killed') kills++;
    }
    expect(kills).toBeGreaterThan(6);
    await live(directory, []);
    await verify(directory);
  },
  120_000,
);
