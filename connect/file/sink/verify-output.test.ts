import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  json,
  openLog,
  silentLogger,
  string,
  systemClock,
  topic,
  type Log,
} from '../../../core/index.ts';
import { sleep } from '../../../core/internal.ts';
import { connectFailure } from '../../../test/kit/connect.ts';
import { temporaryDirectory } from '../../../test/kit/temporary-directory.ts';
import { SinkRunner } from '../../runtime/sink-runner.ts';
import { jsonl } from '../jsonl.ts';
import { fileSink } from './file-sink.ts';
import { verifyOutput } from './verify-output.ts';

const numbers = topic('numbers', { key: string(), value: json<number>(), partitions: 2 });

async function temporaryLog(): Promise<Log> {
  return openLog(temporaryDirectory(), { logger: silentLogger });
}

async function produce(log: Log, count: number): Promise<void> {
  await using producer = log.producer({ transactionalId: 'writer' });
  await producer.transaction((tx) => {
    for (let value = 0; value < count; value++) {
      tx.send(numbers, { key: 'k', value, partition: value % 2 });
    }
  });
}

const sinkTo = (path: string) => {
  return fileSink({ topic: numbers, path, format: jsonl(), partRecords: 2 });
};

/** The names, sizes and times of all files. */
function stateOf(path: string): unknown[] {
  return readdirSync(path).map((name) => {
    const { size, mtimeMs } = statSync(join(path, name));
    return [name, size, mtimeMs];
  });
}

test('[CONNECT-VERIFY-5] verifyOutput tells what is there, and changes nothing', async () => {
  await using log = await temporaryLog();
  await produce(log, 10);
  const path = temporaryDirectory();
  await new SinkRunner(log, sinkTo(path)).finish();
  const before = stateOf(path);
  const files: string[] = [];
  expect(await verifyOutput(path, { onFile: (file) => files.push(file) })).toEqual({
    directory: path,
    isComplete: true,
    partitions: [0, 1].map((partition) => ({
      ...{ topic: 'numbers', partition, parts: 3, records: 5, bytes: 10 },
      // The end of the transaction has an offset of its own.
      ...{ firstOffset: 0, nextOffset: 6, absent: 1 },
    })),
    problems: [],
    problemCount: 0,
    ownerPid: undefined,
  });
  expect(files).toHaveLength(6);
  expect(stateOf(path)).toEqual(before);
});

test('[CONNECT-VERIFY-5] verifyOutput finds each damage, and what does not count', async () => {
  await using log = await temporaryLog();
  await produce(log, 10);
  const path = temporaryDirectory();
  await new SinkRunner(log, sinkTo(path)).finish();
  const file = (name: string) => join(path, name);
  rmSync(file('part-0-00000.jsonl'));
  writeFileSync(file('part-0-00001.jsonl'), '4\n7\n'); // it was 4 and 6
  writeFileSync(file('part-1-00000.jsonl'), '1\n3\n5\n');
  writeFileSync(file('part-1-00001.jsonl'), '5\n');
  writeFileSync(file('part-1-00009.jsonl'), '5\n');
  writeFileSync(file('manifest.json.tmp'), '{');
  writeFileSync(file('notes.txt'), 'mine');
  mkdirSync(file('part-1-00010.jsonl'));
  const { problems, problemCount } = await verifyOutput(path);
  expect(problemCount).toBe(4);
  const told = problems.map(({ severity, file: name, what }) => `${severity} ${name}: ${what}`);
  expect(told.slice(0, 4)).toEqual([
    'problem part-0-00000.jsonl: it is missing, and manifest.json lists it',
    expect.stringMatching(/^problem part-0-00001.jsonl: the checksum of its bytes is/),
    'problem part-1-00000.jsonl: it has 6 bytes, and manifest.json says 4',
    'problem part-1-00001.jsonl: it has 2 bytes, and manifest.json says 4',
  ]);
  expect(told.slice(4).sort()).toEqual([
    'note manifest.json.tmp: it is in no commit',
    'note notes.txt: no sink has made it',
    'note part-1-00009.jsonl: it is in no commit',
    'note part-1-00010.jsonl: no sink has made it',
  ]);

  const manifest = readFileSync(file('manifest.json'));
  manifest[100]! ^= 1;
  writeFileSync(file('manifest.json'), manifest);
  expect(await verifyOutput(path)).toMatchObject({
    problemCount: 1,
    problems: [{ file: 'manifest.json', what: 'its checksum is not that of its content' }],
  });
  const nowhere = join(path, 'none');
  expect(await connectFailure(verifyOutput(nowhere))).toMatchObject({ code: 'FILE_NOT_FOUND' });
  expect(await connectFailure(verifyOutput(file('notes.txt')))).toMatchObject({
    code: 'NOT_A_DIRECTORY',
  });
});

test('[CONNECT-VERIFY-6] verifyOutput may run while a sink is writing', async () => {
  await using log = await temporaryLog();
  const path = temporaryDirectory();
  const runner = new SinkRunner(log, sinkTo(path), { commitIntervalMs: 1 });
  const running = runner.run();
  for (let round = 1; round <= 5; round++) {
    await produce(log, 40);
    while (runner.progress.committedRecords < round * 40) {
      const { problemCount } = await lookAt(path);
      expect(problemCount).toBe(0);
    }
  }
  expect((await verifyOutput(path)).ownerPid).toBe(process.pid);
  await runner.finish();
  await running;
  expect(await verifyOutput(path)).toMatchObject({ isComplete: true, problems: [] });
});

/** Before the sink is open there is no manifest. */
async function lookAt(path: string): Promise<{ readonly problemCount: number }> {
  await sleep(systemClock, 1); // without a pause the sink would never come to its turn
  if (!readdirSync(path).includes('manifest.json')) return { problemCount: 0 };
  return verifyOutput(path);
}
