import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  json,
  openLog,
  silentLogger,
  string,
  topic,
  type ConsumerRecord,
  type Log,
} from '../../../core/index.ts';
import { connectFailure } from '../../../test/kit/connect.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import type { SinkConnector } from '../../connector.ts';
import { SinkRunner } from '../../runtime/sink-runner.ts';
import { csv } from '../csv.ts';
import { fileSink } from './file-sink.ts';
import { jsonl } from '../jsonl.ts';
import type { Manifest } from './manifest.ts';

interface Delay {
  readonly state: string;
  readonly minutes: number;
}

const delays = topic('delays', { key: string(), value: json<Delay>(), partitions: 2 });

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

/** Writes `count` records to each partition, numbered from `from`. */
async function produce(log: Log, count: number, from = 0): Promise<void> {
  await using producer = log.producer();
  for (const partition of [0, 1]) {
    const records = Array.from({ length: count }, (_, index) => ({
      key: `k${partition}`,
      value: { state: `ä${partition}`, minutes: from + index },
      partition,
    }));
    await producer.sendAll(delays, records);
  }
}

const sinkTo = (path: string) => fileSink({ topic: delays, path, format: jsonl<Delay>() });
const finish = (log: Log, sink: SinkConnector) => new SinkRunner(log, sink).finish();

function manifestOf(path: string): Manifest {
  return JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8')) as Manifest;
}

/** The bytes of a partition's files that count, by the manifest; checks sizes and checksums. */
function committedText(path: string, partition: number): string {
  const parts = manifestOf(path).parts.filter((part) => part.partition === partition);
  const bytes = parts.map((part) => {
    const content = readFileSync(join(path, part.file)).subarray(0, part.sizeBytes);
    expect(content).toHaveLength(part.sizeBytes);
    expect(crc32(content).toString(16).padStart(8, '0')).toBe(part.crc32);
    return content;
  });
  return Buffer.concat(bytes).toString('utf8');
}

/** All files of a directory with their bytes. */
function snapshot(path: string): Record<string, string> {
  const names = existsSync(path) ? readdirSync(path).sort() : [];
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(path, name), 'latin1')]));
}

test('[CONNECT-FILES-2] each partition has its own files, with its records in order', async () => {
  await using log = await temporaryLog();
  await produce(log, 3);
  const path = join(temporaryDirectory(), 'deep/out');
  expect(await finish(log, sinkTo(path))).toMatchObject({ records: 6, isFinished: true });
  expect(readdirSync(path).sort()).toEqual([
    'manifest.json',
    'part-0-00000.jsonl',
    'part-1-00000.jsonl',
  ]);
  for (const partition of [0, 1]) {
    expect(readFileSync(join(path, `part-${partition}-00000.jsonl`), 'utf8')).toBe(
      [0, 1, 2].map((minutes) => `{"state":"ä${partition}","minutes":${minutes}}\n`).join(''),
    );
  }
});

test('[CONNECT-FILES-3] the manifest states which bytes count, with checksums', async () => {
  await using log = await temporaryLog();
  await produce(log, 3);
  const path = temporaryDirectory();
  await finish(log, sinkTo(path));
  const [described] = await log.admin().describeTopics(['delays']);
  expect(manifestOf(path)).toMatchObject({
    version: 2,
    topic: { name: 'delays', id: described?.topicId },
    format: 'jsonl',
    complete: true,
    offsets: { 0: 3, 1: 3 },
  });
  expect(manifestOf(path).parts[1]).toMatchObject({
    file: 'part-1-00000.jsonl',
    partition: 1,
    firstOffset: 0,
    lastOffset: 2,
    records: 3,
    isSealed: true,
  });
  expect(committedText(path, 1).split('\n')).toHaveLength(4);
});

test('[CONNECT-FILES-4] a part is full at partBytes, wherever the commits fall', async () => {
  await using log = await temporaryLog();
  await produce(log, 50);
  const outputs = [];
  for (const commitRecordsMax of [1, 7, 1000]) {
    const path = temporaryDirectory();
    const sink = fileSink({ topic: delays, path, format: jsonl<Delay>(), partBytes: 100 });
    await new SinkRunner(log, sink, { commitRecordsMax }).finish();
    for (const { sizeBytes, lastOffset } of manifestOf(path).parts) {
      if (lastOffset < 49) expect(sizeBytes).toBeGreaterThanOrEqual(100);
      expect(sizeBytes).toBeLessThan(140);
    }
    outputs.push(snapshot(path));
  }
  expect(Object.keys(outputs[0]!)).toContain('part-1-00009.jsonl');
  expect(outputs[1]).toEqual(outputs[0]);
  expect(outputs[2]).toEqual(outputs[0]);
});

test('[CONNECT-FILES-5] CSV parts start with a header', async () => {
  await using log = await temporaryLog();
  await produce(log, 2);
  const path = temporaryDirectory();
  await finish(log, fileSink({ topic: delays, path, format: csv() }));
  expect(committedText(path, 0)).toBe('state,minutes\nä0,0\nä0,1\n');
  expect(manifestOf(path).columns).toEqual(['state', 'minutes']);
  const value = ({ key, value: row }: ConsumerRecord<string, Delay>) => ({
    key,
    late: (row?.minutes ?? 0) > 0,
    note: 'a "b"; c',
    at: new Date(0),
    none: null,
    empty: '',
  });
  const header = ['key', 'note', 'at', 'late', 'none', 'empty'];
  const other = temporaryDirectory();
  const format = csv({ delimiter: ';', header });
  await finish(log, fileSink({ topic: delays, path: other, format, value }));
  expect(committedText(other, 1).split('\n')).toEqual([
    'key;note;at;late;none;empty',
    'k1;"a ""b""; c";1970-01-01T00:00:00.000Z;false;;""',
    'k1;"a ""b""; c";1970-01-01T00:00:00.000Z;true;;""',
    '',
  ]);
});

test('[CONNECT-FILES-6] undefined leaves a record out; odd rows are errors', async () => {
  await using log = await temporaryLog();
  await produce(log, 4);
  const path = temporaryDirectory();
  const odd = ({ value }: ConsumerRecord<string, Delay>) =>
    (value?.minutes ?? 0) % 2 === 1 ? value?.minutes : undefined;
  await finish(log, fileSink({ topic: delays, path, format: jsonl(), value: odd }));
  expect(committedText(path, 0)).toBe('1\n3\n');
  expect(manifestOf(path).offsets).toEqual({ 0: 4, 1: 4 });

  const uneven = ({ value }: ConsumerRecord<string, Delay>): object =>
    value?.minutes === 2 ? { minutes: 2, extra: true } : { minutes: value?.minutes };
  const bad = fileSink({ topic: delays, path: temporaryDirectory(), format: csv(), value: uneven });
  expect(await connectFailure(finish(log, bad))).toMatchObject({
    code: 'ROW_UNWRITABLE',
    details: { topic: 'delays', offset: 2, reason: 'column extra is not in the header: minutes' },
  });
});

test('[CONNECT-FILES-7] uncommitted output is cut off and written again', async () => {
  await using log = await temporaryLog();
  await produce(log, 3);
  const path = temporaryDirectory();
  const running = new SinkRunner(log, sinkTo(path), { commitIntervalMs: 10 });
  void running.run();
  while (running.progress.committedRecords < 6) await nextTurn();
  await running.stop();
  expect(manifestOf(path).complete).toBe(false);

  appendFileSync(join(path, 'part-0-00000.jsonl'), '{"half');
  writeFileSync(join(path, 'part-0-00001.jsonl'), 'of a commit that never was\n');
  writeFileSync(join(path, 'manifest.json.tmp'), '{');
  await produce(log, 2, 3);
  await finish(log, sinkTo(path));
  expect(readdirSync(path).sort()).toEqual([
    'manifest.json',
    'part-0-00000.jsonl',
    'part-1-00000.jsonl',
  ]);
  const expected = [0, 1, 2, 3, 4].map((minutes) => `{"state":"ä0","minutes":${minutes}}\n`);
  expect(readFileSync(join(path, 'part-0-00000.jsonl'), 'utf8')).toBe(expected.join(''));
});

test('[CONNECT-FILES-8] a complete output that runs again starts new files', async () => {
  await using log = await temporaryLog();
  await produce(log, 2);
  const path = temporaryDirectory();
  await finish(log, sinkTo(path));
  const before = snapshot(path);
  expect(await finish(log, sinkTo(path))).toMatchObject({ records: 0, isFinished: true });
  expect(snapshot(path)).toEqual(before);

  await produce(log, 1, 2);
  const runner = new SinkRunner(log, sinkTo(path), { commitIntervalMs: 10 });
  void runner.run();
  while (runner.progress.committedRecords < 2) await nextTurn();
  expect(manifestOf(path).complete).toBe(false);
  await runner.finish();
  expect(manifestOf(path).complete).toBe(true);
  const after = snapshot(path);
  expect(after['part-0-00000.jsonl']).toBe(before['part-0-00000.jsonl']);
  expect(after['part-0-00001.jsonl']).toContain('"minutes":2');
});

test('[CONNECT-FILES-9] a directory with foreign files is left untouched', async () => {
  await using log = await temporaryLog();
  await produce(log, 1);
  const notes = temporaryDirectory();
  writeFileSync(join(notes, 'part-0-00000.jsonl'), 'mine\n');
  writeFileSync(join(notes, 'notes.txt'), 'mine\n');
  expect(await connectFailure(finish(log, sinkTo(notes)))).toMatchObject({
    code: 'OUTPUT_FOREIGN',
    message: expect.stringMatching(/give a directory that is empty/) as string,
  });
  expect(Object.keys(snapshot(notes))).toEqual(['notes.txt', 'part-0-00000.jsonl']);
  const file = join(notes, 'notes.txt');
  expect((await connectFailure(finish(log, sinkTo(file)))).code).toBe('NOT_A_DIRECTORY');
  // Hidden files do not count as output.
  const hidden = temporaryDirectory();
  writeFileSync(join(hidden, '.gitkeep'), '');
  await finish(log, sinkTo(hidden));
});

test('[CONNECT-FILES-10] the output of another sink is left untouched', async () => {
  await using log = await temporaryLog();
  await produce(log, 1);
  const path = temporaryDirectory();
  await finish(log, fileSink({ topic: delays, path, format: csv() }));
  const before = snapshot(path);
  await using otherLog = await temporaryLog();
  const others = topic('others', { key: string(), value: json<Delay>() });
  const mismatches: readonly (readonly [Log, SinkConnector, string])[] = [
    [log, fileSink({ topic: others, path, format: csv() }), 'topic'],
    [otherLog, fileSink({ topic: delays, path, format: csv() }), 'id of the topic'],
    [log, sinkTo(path), 'format'],
    [log, fileSink({ topic: delays, path, format: csv({ header: ['minutes'] }) }), 'columns'],
  ];
  for (const [each, sink, field] of mismatches) {
    expect(await connectFailure(finish(each, sink))).toMatchObject({
      code: 'OUTPUT_MISMATCH',
      details: { directory: path, field },
    });
  }
  expect(snapshot(path)).toEqual(before);
});

test('[CONNECT-FILES-11] only one process and one sink write to a directory', async () => {
  await using log = await temporaryLog();
  await produce(log, 1);
  const path = temporaryDirectory();
  const first = new SinkRunner(log, sinkTo(path), { commitIntervalMs: 10 });
  void first.run();
  while (first.progress.committedRecords < 2) await nextTurn();
  const second = fileSink({ name: 'second', topic: delays, path, format: jsonl() });
  expect(await connectFailure(finish(log, second))).toMatchObject({
    code: 'OUTPUT_LOCKED',
    details: { directory: path, ownerPid: process.pid },
  });
  await first.finish();
  await finish(log, second);
});

test('[CONNECT-FILES-12] missing and damaged files are errors that name them', async () => {
  await using log = await temporaryLog();
  await produce(log, 2);
  const edits: readonly (readonly [string, string, RegExp])[] = [
    ['part-0-00000.jsonl', '../../precious', /parts is incomplete/],
    ['"partition": 0', '"partition": 1', /parts is incomplete/],
    ['"parts": [', '"parts": [null,', /parts is incomplete/],
    ['"lastOffset": 1', '"lastOffset": 9e99', /parts is incomplete/],
    ['"firstOffset": 0', '"firstOffset": 2', /not in the order of its offsets/],
    ['"offsets": {', '"offsets": null, "other": {', /has a field other/],
    ['"offsets": {', '"offsets": { "x": 1,', /no offsets/],
    ['"1": 2', '"1": 1', /beyond the offset to read next/],
    ['part-1-00000.jsonl', 'part-0-00000.jsonl', /parts is incomplete/],
    ['"records": 2', '"records": 3', /which its offsets cannot hold/],
    ['"isSealed": true', '"isSealed": false', /is open, and the output is complete/],
    ['"records": 2', '"records": 2, "more": 1', /parts is incomplete/],
    ['"complete": true', '"complete": 1', /whether it is complete/],
    ['"format"', '"columns": "a", "format"', /columns are no names/],
    ['"name": "delays"', '"name": 7', /no topic/],
  ];
  const damages: readonly (readonly [string, (file: string) => void, RegExp])[] = [
    ['part-0-00000.jsonl', (file) => rmSync(file), /it is missing/],
    ['part-1-00000.jsonl', (file) => truncateSync(file, 5), /it has 5 bytes/],
    ['manifest.json', (file) => truncateSync(file, 50), /it is not JSON/],
    ['manifest.json', (file) => writeFileSync(file, '{"version":2}'), /no checksum/],
    ['manifest.json', (file) => writeFileSync(file, '[]'), /no object/],
    ...edits.map(([from, to, reason]): (typeof damages)[number] => {
      const edit = (file: string): void => {
        const text = readFileSync(file, 'utf8').replace(/,\n {2}"checksum"[^]*$/, '');
        expect(text).toContain(from);
        const body = text.replace(from, to);
        const checksum = crc32(body).toString(16).padStart(8, '0');
        writeFileSync(file, `${body},\n  "checksum": "${checksum}"\n}\n`);
      };
      return ['manifest.json', edit, reason];
    }),
  ];
  for (const [name, damage, reason] of damages) {
    const path = temporaryDirectory();
    await finish(log, sinkTo(path));
    damage(join(path, name));
    const before = snapshot(path);
    const failure = await connectFailure(finish(log, sinkTo(path)));
    expect(failure).toMatchObject({ code: 'OUTPUT_DAMAGED', details: { file: join(path, name) } });
    expect(failure.message).toMatch(reason);
    expect(snapshot(path)).toEqual(before);
  }
});

test('[CONNECT-FILES-13] wrong types do not compile, and wrong options are errors', () => {
  const path = 'out';
  // @ts-expect-error -- a delay is not a row of this format: value is missing
  fileSink({ topic: delays, path, format: jsonl<{ key: string }>() });
  // @ts-expect-error -- a number is not a CSV row
  fileSink({ topic: delays, path, format: csv(), value: ({ offset }) => offset });
  expect(() => fileSink({ topic: delays, path, formt: jsonl() } as never)).toThrow(
    /did you mean format/,
  );
  expect(() => fileSink({ topic: delays, path } as never)).toThrow(/fileSink: format is missing/);
  expect(fileSink({ topic: delays, path, format: jsonl() })).toMatchObject({
    name: 'delays-sink',
    delivery: 'transactional',
  });
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
