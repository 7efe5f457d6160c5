import { afterEach, expect, test } from 'vitest';
import {
  json,
  LogError,
  openLog,
  seededRandom,
  silentLogger,
  string,
  topic,
  type ConsumerRecord,
  type Log,
} from '../../../core/index.ts';
import { changesNothing, ManualClock, MemoryFileSystem } from '../../../core/testing/index.ts';
import { failureOf } from '../../../test/kit/connect.ts';
import { filesBelow, manifestIn, readOutput } from '../../../test/kit/output.ts';
import { readTopic } from '../../../test/kit/read-topic.ts';
import { ConnectError } from '../../errors.ts';
import { SinkRunner } from '../../runtime/sink-runner.ts';
import { avro } from '../avro.ts';
import { jsonl } from '../jsonl.ts';
import { parquet } from '../parquet.ts';
import { fileSink, type FileSinkOptions } from './file-sink.ts';
import { verifyOutput } from './verify-output.ts';

const numbers = topic('numbers', { key: string(), value: json<string>(), partitions: 2 });

/** What a row of these outputs is made of. */
interface Row {
  readonly text: string;
  readonly third: number;
}
type Options = FileSinkOptions<Row, string, string>;

const SCHEMA = {
  type: 'record',
  name: 'Row',
  fields: [
    { name: 'text', type: 'string' },
    { name: 'third', type: 'int' },
  ],
};
const format = jsonl<Row>();
/** Values as they stand in the log. */
const CARRIED = { partBytes: 80 };
/** By kind of output, options that roll in each commit and leave most parts open. */
const KINDS: Readonly<Record<string, Partial<Options>>> = {
  text: { format, partBytes: 80 },
  carried: CARRIED,
  gzip: { format, partBytes: 80, compression: 'gzip' },
  zstd: { format, partRecords: 3, compression: 'zstd' },
  'text by the clock': { format, partMs: 4 },
  'text when idle': { format, partIdleMs: 2, compression: 'gzip' },
  layout: { format, partRecords: 3, layout: '{field:third}/{key}', openPartsMax: 4 },
  avro: { format: avro<Row>({ schema: SCHEMA }), partRecords: 3 },
  parquet: { format: parquet(), partRecords: 3 },
  'parquet by the clock': { format: parquet({ compression: 'none' }), partMs: 4 },
  'parquet with a layout': { format: parquet(), partRecords: 3, layout: 'third={field:third}' },
};

const open = (fileSystem: MemoryFileSystem, seed: number): Promise<Log> =>
  openLog('/data', { fileSystem, random: seededRandom(seed), logger: silentLogger });

/** The clock of the sinks; it goes on while a test waits. */
let clock = new ManualClock();
afterEach(() => {
  clock = new ManualClock();
});

const rowOf = ({ value, offset }: ConsumerRecord<string, string>): Row => {
  return { text: value ?? '', third: offset % 3 };
};

function runner(log: Log, fileSystem: MemoryFileSystem, kind = 'text', path = '/out'): SinkRunner {
  const common = { topic: numbers, path, fileSystem };
  const sink =
    kind === 'carried'
      ? fileSink({ ...common, format: jsonl<string>(), ...CARRIED })
      : fileSink({ ...common, format, value: rowOf, ...KINDS[kind]! });
  return new SinkRunner(log, sink, { commitIntervalMs: 1, clock });
}

/** A transaction of a few records for both partitions. */
async function produce(log: Log, round: number): Promise<void> {
  await using producer = log.producer({ transactionalId: 'writer' });
  await producer.transaction((tx) => {
    for (let index = 0; index < 5; index++) {
      const value = `round ${round}, record ${index}`;
      tx.send(numbers, { key: 'k', value, partition: index % 2 });
    }
  });
}

interface Work {
  readonly kind?: string;
  readonly rounds?: number;
}

/** Runs the sink while records arrive, until the output is complete. */
async function work(
  disk: MemoryFileSystem,
  seed: number,
  { kind = 'text', rounds = 4 }: Work = {},
): Promise<void> {
  const log = await open(disk, seed);
  await produce(log, 0);
  const sink = runner(log, disk, kind);
  const running = sink.run();
  running.catch(() => undefined);
  for (let round = 1; round < rounds; round++) {
    // Parquet holds back what is in files that are not full.
    const done = (): number =>
      sink.progress[kind.startsWith('parquet') ? 'records' : 'committedRecords'];
    while (done() < round * 5) {
      await Promise.race([running, new Promise((resolve) => setImmediate(resolve))]);
      clock.advance(1);
    }
    await produce(log, round);
  }
  await sink.finish();
  await log.close();
}

/** The texts that count, by partition, in the order of the offsets where that is known. */
async function committedTexts(disk: MemoryFileSystem): Promise<string[][]> {
  const texts: string[][] = [[], []];
  for (const { partition, rows } of await readOutput(disk, '/out')) {
    texts[partition]!.push(...(rows as (Row | string)[]).map((row) => textOf(row)));
  }
  return texts;
}

function textOf(row: Row | string): string {
  return typeof row === 'string' ? row : row.text;
}

/** The output expected for the topic. */
async function expectedTexts(log: Log): Promise<string[][]> {
  const texts: string[][] = [[], []];
  for (const { partition, value } of await readTopic(log, numbers, 'read_committed')) {
    texts[partition]!.push(value ?? '');
  }
  return texts;
}

/** Continues after a crash and checks the output against the topic: each record once, in order. */
async function checkRecovery(disk: MemoryFileSystem, seed: number, kind = 'text'): Promise<void> {
  const log = await open(disk, seed);
  const before = await committedTexts(disk);
  await runner(log, disk, kind).finish();
  const after = await committedTexts(disk);
  const expected = await expectedTexts(log);
  // With a layout, directories are side by side, and nothing orders them.
  const isOrdered = KINDS[kind]?.layout === undefined;
  const inOrder = (texts: string[]) => (isOrdered ? texts : texts.toSorted());
  expect(after.map(inOrder)).toEqual(expected.map(inOrder));
  for (const [partition, texts] of before.entries()) {
    if (isOrdered) expect(expected[partition]!.slice(0, texts.length)).toEqual(texts);
    else expect(expected[partition]).toEqual(expect.arrayContaining(texts)); // never lost
  }
  const manifest = await manifestIn(disk, '/out');
  expect(manifest?.complete).toBe(true);
  const listed = manifest!.parts.map(({ file }) => file);
  expect(await filesBelow(disk, '/out')).toEqual(['manifest.json', ...listed].sort());
  const found = await verifyOutput('/out', { fileSystem: disk });
  expect(found).toMatchObject({ isComplete: true, problems: [], ownerPid: undefined });
  await log.close();
}

/** A disk for each operation on the output, as a crash right after it leaves it. */
async function crashes(
  seed: number,
  crash: (disk: MemoryFileSystem) => MemoryFileSystem,
  options: Work = {},
): Promise<{ readonly operation: string; readonly disk: MemoryFileSystem }[]> {
  const found: { operation: string; disk: MemoryFileSystem }[] = [];
  const disk: MemoryFileSystem = new MemoryFileSystem({
    random: seededRandom(seed),
    onOperation: ({ number, kind, path }) => {
      if (!changesNothing(kind) && path.startsWith('/out')) {
        found.push({ operation: `${number} ${kind} ${path}`, disk: crash(disk) });
      }
    },
  });
  await work(disk, seed, options);
  return found;
}

test.each([1, 2])(
  '[CONNECT-FILES-1] power cut after each operation on the output: each record once (seed %i)',
  async (seed) => {
    const random = seededRandom(seed * 7);
    const moments = await crashes(seed, (disk) => disk.crash(random));
    expect(moments.length).toBeGreaterThan(40);
    for (const { disk } of moments) await checkRecovery(disk, seed);
  },
  60_000,
);

test('[CONNECT-FILES-1] kill after each operation on the output: each record once', async () => {
  const moments = await crashes(3, (disk) => disk.kill());
  for (const { disk } of moments) await checkRecovery(disk, 3);
}, 60_000);

test.each(Object.keys(KINDS).filter((kind) => kind !== 'text'))(
  '[CONNECT-FORMAT-1] [CONNECT-ROLL-1] power cut after each operation: each record once (%s)',
  async (kind) => {
    const random = seededRandom(kind.length);
    const moments = await crashes(4, (disk) => disk.crash(random), { kind, rounds: 3 });
    expect(moments.length).toBeGreaterThan(15);
    for (const { disk } of moments) await checkRecovery(disk, 4, kind);
  },
  120_000,
);

test('[CONNECT-FILES-14] the next run recovers from any failed operation', async () => {
  for (const code of ['ENOSPC', 'EIO']) {
    let failures = 0;
    for (let nth = 1; ; nth++) {
      const disk = new MemoryFileSystem({ random: seededRandom(nth) });
      let count = 0;
      disk.fail({
        at: ({ path, kind }) => path.startsWith('/out') && kind !== 'close' && ++count === nth,
        code,
        writtenBytes: 7,
      });
      const error = await failureOf(work(disk, nth, { rounds: 2 }));
      if (count < nth) break; // the whole run has fewer operations
      const isRefused = error instanceof ConnectError;
      if (isRefused) {
        failures++;
        expect(['DISK_FULL', 'STORAGE_FAILED']).toContain(error.code);
        expect(error.code === 'DISK_FULL').toBe(code === 'ENOSPC');
        expect(error.retriable).toBe(code === 'ENOSPC');
        expect(error.message).toContain('/out');
      } else {
        expect(error).toMatchObject({ message: 'resolved with undefined' });
      }
      // The failed run's lock ends with its process.
      await checkRecovery(disk.kill(), nth);
    }
    expect(failures).toBeGreaterThan(20);
  }
}, 60_000);

test('[CONNECT-FILES-15] a full disk ends the run; with room the next run continues', async () => {
  const disk = new MemoryFileSystem({ random: seededRandom(5) });
  const log = await open(disk, 5);
  await produce(log, 0);
  await runner(log, disk).finish();
  await produce(log, 1);
  disk.capacityBytes = disk.usedBytes + 20;
  const error = await failureOf(runner(log, disk).finish());
  expect(ConnectError.is(error, 'DISK_FULL') || LogError.is(error, 'DISK_FULL')).toBe(true);
  disk.capacityBytes = Infinity;
  await runner(log, disk).finish();
  expect(await committedTexts(disk)).toEqual(await expectedTexts(log));
  await log.close();
});

test('[CONNECT-FILES-1] a finished output survives a power cut, with its directories', async () => {
  const disk = new MemoryFileSystem({ random: seededRandom(6) });
  const log = await open(disk, 6);
  await produce(log, 0);
  await runner(log, disk, 'text', '/new/deeper/out').finish();
  for (let seed = 0; seed < 10; seed++) {
    const after = disk.crash(seededRandom(seed));
    expect((await manifestIn(after, '/new/deeper/out'))?.complete).toBe(true);
  }
});
