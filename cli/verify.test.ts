import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog, string, topic } from '../core/index.ts';
import { millrace as millraceIn } from '../test/kit/command.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

const millrace = (...args: readonly string[]) => millraceIn(tmpdir(), ...args);

const orders = topic('orders', { key: string(), value: string() });

async function makeLog(): Promise<string> {
  const directory = temporaryDirectory();
  await using log = await openLog(directory);
  const producer = log.producer();
  for (const value of ['a', 'b', 'c']) await producer.send(orders, { key: value, value });
  return directory;
}

/** Changes a byte of the second batch. */
function damage(directory: string): void {
  const path = join(directory, 'orders-0/00000000000000000000.log');
  const bytes = readFileSync(path);
  const second = 12 + bytes.readInt32BE(8);
  bytes[second + 62]! ^= 1;
  writeFileSync(path, bytes);
}

test('[CLI-7] verify prints what is in a log, then OK', async () => {
  const directory = await makeLog();
  const ended = millrace('verify', directory);
  expect(ended).toMatchObject({ code: 0, err: '' });
  expect(ended.out).toMatch(/^orders-0: 1 segments, 3 batches, 3 records, .*offsets 0 to 3\nOK\n$/);
});

test('[CLI-7] verify works while another process has the log open, and names it', async () => {
  const directory = await makeLog();
  await using log = await openLog(directory);
  const { code, out } = millrace('verify', log.directory);
  expect({ code, last: out.split('\n').slice(-3) }).toEqual({
    code: 0,
    last: [expect.stringContaining(`process ${process.pid} has the log open`), 'OK', ''],
  });
});

test('[CLI-7] [CLI-8] a damaged log: verify, repair --dry-run, repair, verify', async () => {
  const directory = await makeLog();
  damage(directory);
  const found = millrace('verify', directory);
  expect(found.code).toBe(1);
  expect(found.out).toMatch(/problem: .*\.log at byte \d+, offset 1: .*checksum mismatch/);
  expect(found.out).toMatch(/\n1 problem\n$/);
  const lines = millrace('verify', directory, '--json').out.trim().split('\n');
  const parsed = lines.map((line) => JSON.parse(line) as unknown);
  expect(parsed).toMatchObject([
    { type: 'partition', topic: 'orders', batches: 2 },
    { type: 'problem', offset: 1 },
    { type: 'summary', problems: 1 },
  ]);

  expect(millrace('repair', directory, '--dry-run')).toMatchObject({ code: 0, err: '' });
  expect(millrace('repair', directory)).toMatchObject({ code: 1 }); // no terminal to ask
  expect(readdirSync(directory)).not.toContain('repair.1');
  const { code, out } = millrace('repair', directory, '--yes');
  expect(code).toBe(0);
  expect(out).toContain('an empty batch');
  expect(out).toMatch(/repair\.1\nOK\n$/);
  expect(millrace('verify', directory)).toMatchObject({ code: 0 });
}, 60_000);

test('[CLI-8] repair is refused while the log is open', async () => {
  const directory = await makeLog();
  await using log = await openLog(directory);
  const { code, err } = millrace('repair', log.directory, '--yes');
  expect(code).toBe(1);
  expect(err).toContain('LOG_LOCKED');
});

test('[CLI-7] a directory without a log is refused in one line', () => {
  const { code, err } = millrace('verify', join(temporaryDirectory(), 'none'));
  expect(code).toBe(1);
  expect(err).toMatch(/^millrace: .*there is no such directory.*\(DIRECTORY_UNUSABLE\)\n$/);
});
