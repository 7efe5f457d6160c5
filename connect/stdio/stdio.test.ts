import { spawn } from 'node:child_process';
import { PassThrough, Readable, Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { json, openLog, silentLogger, string, topic, type Log } from '../../core/index.ts';
import { connectFailure, failureOf } from '../../test/kit/connect.ts';
import { readTopic, readValues } from '../../test/kit/read-topic.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import type { SourceBatch } from '../connector.ts';
import { csv } from '../file/csv.ts';
import { jsonl } from '../file/jsonl.ts';
import { parquet } from '../file/parquet.ts';
import { SinkRunner } from '../runtime/sink-runner.ts';
import { SourceRunner } from '../runtime/source-runner.ts';
import { stdinSource, type StdinSourceOptions } from './stdin-source.ts';
import { stdoutSink } from './stdout-sink.ts';

const texts = topic('texts', { key: string(), value: string() });
const numbers = topic('numbers', { key: string(), value: json<{ n: number }>() });

const temporaryLog = (): Promise<Log> => openLog(temporaryDirectory(), { logger: silentLogger });

/** A stream that yields these chunks as they are. */
function streamOf(...chunks: readonly (string | Buffer)[]): Readable {
  return Readable.from(chunks.map((chunk) => Buffer.from(chunk as Buffer)));
}

/** All batches of the task for these chunks, without a log. */
async function batchesOf(
  chunks: readonly (string | Buffer)[],
  options: Partial<StdinSourceOptions<unknown, string, unknown>> = {},
): Promise<SourceBatch[]> {
  const all = { format: 'jsonl', topic: numbers, key: () => null, ...options } as const;
  const source = stdinSource({ ...all, input: streamOf(...chunks) } as never);
  const { signal } = new AbortController();
  const context = { offset: () => undefined, signal, clock: undefined as never };
  const [task] = await source.open(context);
  const batches: SourceBatch[] = [];
  for (let next = await task!.poll(); next !== undefined; next = await task!.poll()) {
    batches.push(next);
  }
  await task!.close();
  return batches;
}

test('[CONNECT-STDIO-1] a pipe is read to its end', async () => {
  await using log = await temporaryLog();
  const child = spawn('cat');
  const source = stdinSource({
    ...{ format: 'lines', topic: texts, input: child.stdout },
    key: (line) => line,
  });
  const runner = new SourceRunner(log, source);
  const running = runner.run();
  child.stdin.write('a\r\n\nü\nlast');
  await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBe(3);
  child.stdin.end();
  expect(await running).toMatchObject({ records: 4, isEnded: true });
  expect(await readValues(log, texts, 'read_committed')).toEqual(['a', '', 'ü', 'last']);
});

test('[CONNECT-STDIO-1] lines do not depend on where chunks end', async () => {
  const bytes = Buffer.from('\ufeff{"n":1}\r\n{"n":"ü😀"}\n\n  \n{"n":3}\n{"n":4}');
  const whole = (await batchesOf([bytes])).flatMap(({ records }) => records);
  expect(whole.map(({ value }) => value)).toEqual([{ n: 1 }, { n: 'ü😀' }, { n: 3 }, { n: 4 }]);
  for (let cut = 1; cut < bytes.length; cut++) {
    const batches = await batchesOf([bytes.subarray(0, cut), bytes.subarray(cut)]);
    expect(batches.flatMap(({ records }) => records)).toEqual(whole);
    expect(batches.at(-1)?.offset).toEqual({ position: bytes.length, line: 6 });
  }
  const single = await batchesOf([...bytes].map((byte) => Buffer.of(byte)));
  expect(single.flatMap(({ records }) => records)).toEqual(whole);
});

test('[CONNECT-STDIO-2] the next run reads its own input from the start', async () => {
  await using log = await temporaryLog();
  const source = (text: string) =>
    stdinSource({ format: 'lines', topic: texts, key: () => null, input: streamOf(text) });
  expect(source('').delivery).toBe('at-most-once');
  await new SourceRunner(log, source('a\nb\n')).run();
  await new SourceRunner(log, source('a\nc\n')).run();
  expect(await readValues(log, texts, 'read_committed')).toEqual(['a', 'b', 'a', 'c']);
});

test('[CONNECT-STDIO-2] a crash before the commit loses what the pipe handed over', async () => {
  await using log = await temporaryLog();
  const source = (text: string) =>
    stdinSource({ format: 'lines', topic: texts, key: () => null, input: streamOf(text) });
  const onStep = (step: string): void => {
    if (step === 'source-3-end') throw new RangeError('killed');
  };
  const killed = new SourceRunner(log, source('a\nb\n'), { onStep }).run();
  expect(await failureOf(killed)).toBeInstanceOf(RangeError);
  await new SourceRunner(log, source('c\n')).run();
  expect(await readValues(log, texts, 'read_committed')).toEqual(['c']);
});

test('[CONNECT-STDIO-10] a spent input does not pass for an empty one', async () => {
  await using log = await temporaryLog();
  const input = streamOf('a\nb\n');
  const source = stdinSource({ format: 'lines', topic: texts, key: () => null, input });
  let attempts = 0;
  const onStep = (step: string): void => {
    if (step === 'source-3-end' && ++attempts === 1) throw new RangeError('lost');
  };
  await failureOf(new SourceRunner(log, source, { onStep }).run());
  expect(await connectFailure(new SourceRunner(log, source, { onStep }).run())).toMatchObject({
    code: 'INPUT_CONSUMED',
    details: { input: 'stdin' },
  });
  expect(await readValues(log, texts, 'read_committed')).toEqual([]);
});

test('[CONNECT-STDIO-3] bad lines are told with their bytes, and the others are read', async () => {
  const chunks = ['{"n":1}\n{n}\n', Buffer.from([0x22, 0xff, 0x22, 0x0a]), '{"n":4}\n'];
  const batches = await batchesOf([...chunks, `"${'x'.repeat(50)}"\n{"n":6}\n{"n":7}\n`], {
    ...{ lineBytesMax: 20 },
    key: (row) => {
      if ((row as { n: number }).n === 6) throw new TypeError('no six');
      return 'k';
    },
  });
  const values = batches.flatMap(({ records }) => records.map(({ value }) => value));
  expect(values).toEqual([{ n: 1 }, { n: 4 }, { n: 7 }]);
  const bad = batches.flatMap((batch) => batch.bad ?? []);
  expect(
    bad.map(({ stage, position, raw, error }) => {
      const text = raw === undefined ? undefined : Buffer.from(raw).toString('latin1');
      return [stage, position['line'], position['byte'], text, (error as { code?: string }).code];
    }),
  ).toEqual([
    ['read', 2, 8, '{n}', 'INVALID_JSON'],
    ['read', 3, 12, '"\xff"', 'NOT_UTF8'],
    ['read', 5, 24, `"${'x'.repeat(50)}"`, 'LINE_TOO_LONG'],
    ['convert', 6, 77, '{"n":6}', 'ROW_FAILED'],
  ]);
  const last = batches.at(-1)!;
  expect(last.describe?.(last.records.length - 1)).toBe('stdin, line 7');
});

test('[CONNECT-STDIO-11] integers keep all digits unless numbers says otherwise', async () => {
  const chunks = ['{"n":9007199254740993}\n{"n":1e400}\n{"n":2}\n'];
  const values = async (numbers?: 'text' | 'double'): Promise<unknown[]> => {
    const batches = await batchesOf(chunks, numbers === undefined ? {} : { numbers });
    return batches.flatMap(({ records }) => records.map(({ value }) => value));
  };
  expect(await values()).toEqual([{ n: 9007199254740993n }, { n: 2 }]);
  expect(await values('text')).toEqual([{ n: '9007199254740993' }, { n: '1e400' }, { n: 2 }]);
  expect(await values('double')).toEqual([{ n: 9007199254740992 }, { n: Infinity }, { n: 2 }]);
  const bad = (await batchesOf(chunks)).flatMap((batch) => batch.bad ?? []);
  expect(bad.map(({ error }) => error.message)).toEqual([
    'stdin, line 2 (byte 23): the number 1e400 is beyond the range of a double; ' +
      'see the option numbers',
  ]);
});

test('[CONNECT-STDIO-3] a line too long for memory is dropped, whatever its chunks', async () => {
  const long = Array.from({ length: 100 }, () => 'y'.repeat(1000));
  const batches = await batchesOf(['"a"\n', ...long, '\n"b"\n', ...long], { lineBytesMax: 100 });
  expect(batches.flatMap(({ records }) => records.map(({ value }) => value))).toEqual(['a', 'b']);
  const bad = batches.flatMap((batch) => batch.bad ?? []);
  expect(bad.map(({ position, raw }) => [position['line'], position['byte'], raw])).toEqual([
    [2, 4, undefined],
    [4, 100_009, undefined],
  ]);
});

test('[CONNECT-STDIO-4] stop ends the wait for input and commits', async () => {
  await using log = await temporaryLog();
  const child = spawn('cat');
  const source = stdinSource({
    ...{ format: 'lines', topic: texts, key: () => null, input: child.stdout },
  });
  const runner = new SourceRunner(log, source, { commitIntervalMs: 600_000 });
  const running = runner.run();
  child.stdin.write('one\ntwo\nthr');
  await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBe(2);
  await runner.stop();
  expect(await running).toMatchObject({ records: 2, isEnded: false });
  expect(await readValues(log, texts, 'read_committed')).toEqual(['one', 'two']);
  child.kill();
});

test('[CONNECT-STDIO-4] a failing input ends the run with a coded error', async () => {
  await using log = await temporaryLog();
  const input = new PassThrough();
  const source = stdinSource({ format: 'lines', topic: texts, key: () => null, input });
  const runner = new SourceRunner(log, source);
  const failed = connectFailure(runner.run());
  input.write('a\n');
  await expect.poll(() => runner.progress.records, { timeout: 20_000 }).toBe(1);
  input.destroy(Object.assign(new RangeError('EIO: i/o error'), { code: 'EIO' }));
  expect(await failed).toMatchObject({
    code: 'STORAGE_FAILED',
    details: { file: 'stdin', operation: 'read' },
  });
});

async function produce(log: Log, count: number): Promise<void> {
  await using producer = log.producer();
  const records = Array.from({ length: count }, (_, n) => ({ key: 'k', value: { n } }));
  await producer.sendAll(numbers, records);
}

/** A stream that takes text slowly and keeps it. */
class Slow extends Writable {
  taken = '';
  constructor() {
    super({ highWaterMark: 16 });
  }
  override _write(chunk: Buffer, _: string, done: () => void): void {
    setImmediate(() => {
      this.taken += chunk.toString();
      done();
    });
  }
}

test('[CONNECT-STDIO-5] a commit waits until the stream has passed on everything', async () => {
  await using log = await temporaryLog();
  await produce(log, 5000);
  const output = new Slow();
  const format = csv<{ n: number }>({ columns: { n: 'number' } });
  const atCommit: number[] = [];
  const onStep = (step: string): void => {
    if (step === 'sink-2-offsets') atCommit.push(output.taken.split('\n').length - 1);
  };
  await new SinkRunner(log, stdoutSink({ topic: numbers, format, output }), { onStep }).finish();
  expect(atCommit.at(-1)).toBe(5001);
  expect(output.taken.slice(0, 8)).toBe('n\n0\n1\n2\n');
  expect(output.writableLength).toBe(0);
});

test('[CONNECT-STDIO-5] while the stream holds something back, nothing is committed', async () => {
  await using log = await temporaryLog();
  await produce(log, 10);
  const held: (() => void)[] = [];
  let isHeld = true;
  const output = new Writable({
    highWaterMark: 2 ** 20, // so put does not wait for room
    write: (_chunk, _encoding, done) => {
      if (isHeld) held.push(done);
      else done();
    },
  });
  const steps: string[] = [];
  const sink = stdoutSink({ topic: numbers, format: jsonl(), output });
  const runner = new SinkRunner(log, sink, { onStep: (step) => steps.push(step) });
  const finishing = runner.finish();
  await expect.poll(() => steps.at(-1), { timeout: 20_000 }).toBe('sink-1-output');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(steps.at(-1)).toBe('sink-1-output');
  expect(runner.progress.committedRecords).toBe(0);
  isHeld = false;
  for (const done of held) done();
  await finishing;
  expect(runner.progress.committedRecords).toBe(10);
});

test('[CONNECT-STDIO-6] a crash before the commit repeats records and loses none', async () => {
  await using log = await temporaryLog();
  await produce(log, 3);
  const output = new Slow();
  const sink = stdoutSink({ topic: numbers, format: jsonl(), output });
  const onStep = (step: string): void => {
    if (step === 'sink-2-offsets') throw new RangeError('killed');
  };
  expect(await failureOf(new SinkRunner(log, sink, { onStep }).finish())).toBeInstanceOf(
    RangeError,
  );
  await new SinkRunner(log, sink).finish();
  await new SinkRunner(log, sink).finish();
  const once = '{"n":0}\n{"n":1}\n{"n":2}\n';
  expect(output.taken).toBe(once + once);
});

test('[CONNECT-STDIO-7] a reader that goes away ends the run, and nothing is lost', async () => {
  await using log = await temporaryLog();
  await produce(log, 100_000);
  const head = spawn('head', ['-1']);
  const sink = stdoutSink({ topic: numbers, format: jsonl(), output: head.stdin });
  expect(await connectFailure(new SinkRunner(log, sink).finish())).toMatchObject({
    code: 'OUTPUT_CLOSED',
    details: { output: 'stdout' },
  });
  const output = new Slow();
  const again = stdoutSink({ topic: numbers, format: jsonl(), output });
  expect(await new SinkRunner(log, again).finish()).toMatchObject({ records: 100_000 });
  expect(output.taken.split('\n').length - 1).toBe(100_000);
  const closed = stdoutSink({ topic: numbers, format: jsonl(), output: output.destroy() });
  await produce(log, 1);
  expect(await connectFailure(new SinkRunner(log, closed).finish())).toMatchObject({
    code: 'OUTPUT_CLOSED',
  });
});

test('[CONNECT-STDIO-7] another failure of the stream is STORAGE_FAILED', async () => {
  await using log = await temporaryLog();
  await produce(log, 3);
  const output = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new RangeError('EIO'), { code: 'EIO' })),
  });
  const sink = stdoutSink({ topic: numbers, format: jsonl(), output });
  expect(await connectFailure(new SinkRunner(log, sink).finish())).toMatchObject({
    code: 'STORAGE_FAILED',
    details: { file: 'stdout', operation: 'write' },
  });
});

test('[CONNECT-STDIO-8] a record that cannot be printed is rejected', async () => {
  await using log = await temporaryLog();
  await produce(log, 3);
  const sink = stdoutSink({
    ...{ topic: numbers, format: jsonl<number>(), output: new Slow() },
    value: ({ value }) => {
      if (value?.n === 1) throw new TypeError('no one');
      return value?.n === 0 ? undefined : value?.n;
    },
  });
  expect(await connectFailure(new SinkRunner(log, sink).finish())).toMatchObject({
    code: 'ROW_UNWRITABLE',
    details: { topic: 'numbers', partition: 0, offset: 1, reason: 'no one' },
  });
});

test('[CONNECT-STDIO-9] wrong types do not compile, and wrong options are errors', async () => {
  const key = (): null => null;
  stdinSource({ format: 'lines', topic: texts, key });
  stdinSource({ format: 'jsonl', topic: numbers, key: (row: { n: number }) => String(row.n) });
  // @ts-expect-error a line is no object
  stdinSource({ format: 'lines', topic: numbers, key });
  // @ts-expect-error the topic's keys are strings
  stdinSource({ format: 'lines', topic: texts, key: (line) => line.length });
  // @ts-expect-error records of `texts` are not rows of this format
  stdoutSink({ topic: texts, format: jsonl<number>() });
  const option = (make: () => unknown): unknown => {
    try {
      return make();
    } catch (error) {
      return (error as { code?: unknown }).code;
    }
  };
  expect(option(() => stdinSource({ format: 'xml', topic: texts, key } as never))).toBe(
    'INVALID_OPTION',
  );
  expect(option(() => stdinSource({ format: 'lines', key } as never))).toBe('INVALID_OPTION');
  expect(option(() => stdoutSink({ topic: numbers, format: parquet() }))).toBe('INVALID_OPTION');
  expect(option(() => stdoutSink({ topic: numbers } as never))).toBe('INVALID_OPTION');
  expect(option(() => stdoutSink({ topic: numbers, forma: 1 } as never))).toBe('UNKNOWN_OPTION');
});

test('[CONNECT-STDIO-1] key, value and time come from the row', async () => {
  await using log = await temporaryLog();
  const source = stdinSource({
    ...{ format: 'jsonl', topic: texts, input: streamOf('{"n":7}\n') },
    key: (row: { n: number }) => `k${row.n}`,
    value: (row: { n: number }) => `v${row.n}`,
    timestamp: (row: { n: number }) => new Date(row.n),
  });
  await new SourceRunner(log, source).run();
  const [record] = await readTopic(log, texts, 'read_committed');
  expect([record?.key, record?.value, record?.timestampMs]).toEqual(['k7', 'v7', 7]);
});
