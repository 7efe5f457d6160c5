import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fileSink, jsonl, SinkRunner } from '../connect/index.ts';
import { json, openLog, silentLogger, string, topic } from '../core/index.ts';
import { millrace } from '../test/kit/command.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

const numbers = topic('numbers', { key: string(), value: json<number>() });

test('[CONNECT-VERIFY-7] sink verify prints what it finds, and ends with 1', async () => {
  await using log = await openLog(temporaryDirectory(), { logger: silentLogger });
  const producer = log.producer();
  for (const value of [1, 2, 3]) await producer.send(numbers, { key: 'k', value });
  const path = temporaryDirectory();
  const sink = fileSink({ topic: numbers, path, format: jsonl(), partRecords: 2 });
  await new SinkRunner(log, sink).finish();

  expect(millrace('.', 'sink', 'verify', path)).toEqual({
    code: 0,
    out: 'numbers-0: 2 parts, 3 records, 6 bytes, offsets 0 to 3\nOK\n',
    err: '',
  });
  const part = join(path, 'part-0-00000.jsonl');
  writeFileSync(part, readFileSync(part, 'utf8').replace('2', '7'));
  appendFileSync(join(path, 'part-0-00009.jsonl'), '9\n');
  const found = millrace('.', 'sink', 'verify', path);
  expect(found).toMatchObject({ code: 1, err: '' });
  expect(found.out).toMatch(
    /\n {2}problem: part-0-00000.jsonl: the checksum .*\n {4}committed records are lost; /,
  );
  expect(found.out).toMatch(/\n {2}note: part-0-00009.jsonl: it is in no commit\n/);
  expect(found.out).toMatch(/\n1 problem\n$/);
  const lines = millrace('.', 'sink', 'verify', path, '--json').out.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    expect.objectContaining({ type: 'partition', topic: 'numbers', parts: 2, absent: 0 }),
    expect.objectContaining({ type: 'problem', severity: 'problem', file: 'part-0-00000.jsonl' }),
    expect.objectContaining({ type: 'problem', severity: 'note', file: 'part-0-00009.jsonl' }),
    { type: 'summary', problems: 1, complete: true, ownerPid: null },
  ]);

  const nowhere = millrace('.', 'sink', 'verify', join(path, 'none'));
  expect(nowhere).toMatchObject({ code: 1, out: '' });
  expect(nowhere.err).toMatch(
    /^millrace: there is no .*no file sink has written.*FILE_NOT_FOUND\)\n$/,
  );
  expect(millrace('.', 'sink', 'verify').code).toBe(2);
}, 60_000);
