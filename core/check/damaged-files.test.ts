import { basename, extname } from 'node:path';
import { expect, test } from 'vitest';
import { readTopic } from '../../test/kit/read-topic.ts';
import { openLog } from '../client/open-log.ts';
import { LogError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import type { MemoryFileSystem } from '../storage/memory-fs.ts';
import { DIRECTORY, filesBelow, openSample, plain, sampleLog, sure } from './sample-log.suite.ts';
import { verifyLog } from './verify.ts';

/** Damage to a whole file. */
const DAMAGES: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  'is empty': () => Buffer.alloc(0),
  'lost its second half': (bytes) => bytes.subarray(0, bytes.length >> 1),
  'lost its last byte': (bytes) => bytes.subarray(0, -1),
  'lost its first byte': (bytes) => bytes.subarray(1),
  'has 40 bytes more': (bytes) => Buffer.concat([bytes, Buffer.alloc(40, 0x7f)]),
  'is all zeros': (bytes) => Buffer.alloc(bytes.length),
  'is all ones': (bytes) => Buffer.alloc(bytes.length, 0xff),
  'is somebody else’s': () => Buffer.from('{"name":"package"}\n'.repeat(30)),
};

/** Opens the log and uses all of it. Returns the error, if any. */
async function use(disk: MemoryFileSystem): Promise<unknown> {
  try {
    // Needs a running clock: a poll waits if only markers are left.
    const log = await openLog(DIRECTORY, { fileSystem: disk, logger: silentLogger });
    try {
      await readTopic(log, plain);
      await readTopic(log, sure);
      await log.admin().listGroupOffsets('group');
      await log.producer().send(plain, { value: 'next' });
      await log.producer({ transactionalId: 'writer' }).transaction((tx) => {
        tx.send(sure, { value: 'next' });
      });
      return undefined;
    } finally {
      await log.close();
    }
  } catch (error) {
    return error;
  }
}

test.each([false, true])(
  '[VERIFY-11] whatever happened to a file, every failure has a code; killed: %j',
  async (isKilled) => {
    const whole = await sampleLog({ isKilled });
    const files = await filesBelow(whole);
    expect(new Set([...files.keys()].map((path) => basename(path))).size).toBeGreaterThan(8);
    const unclear: string[] = [];
    const codes = new Set<string>();
    for (const [path, bytes] of files) {
      for (const [damage, apply] of Object.entries(DAMAGES)) {
        const disk = whole.kill();
        await replaceFile(disk, path, apply(bytes));
        const checked = await verifyLog(DIRECTORY, { fileSystem: disk }).catch(
          (error: unknown) => error,
        );
        for (const error of [checked, await use(disk)]) {
          if (error instanceof LogError) codes.add(error.code);
          if (!(error instanceof Error) || error instanceof LogError) continue;
          unclear.push(`${path.slice(DIRECTORY.length + 1)} ${damage}: ${String(error)}`);
        }
      }
    }
    expect(unclear).toEqual([]);
    expect([...codes]).toContain('CORRUPT_FILE'); // otherwise nothing was damaged
  },
  60_000,
);

test.each([false, true])(
  '[LOG-14] [KAFKA-3] a file that can be rebuilt from the log is rebuilt; killed: %j',
  async (isKilled) => {
    const whole = await sampleLog({ isKilled });
    const lost: string[] = [];
    for (const path of (await filesBelow(whole)).keys()) {
      if (!/-\d+\/.*(index|snapshot|leader-epoch-checkpoint)$/.test(path)) continue;
      const disk = whole.kill();
      await disk.remove(path);
      lost.push(basename(path));
      await (await openSample(disk)).close();
      const { problems, partitions } = await verifyLog(DIRECTORY, { fileSystem: disk });
      const found = [...problems, ...partitions.flatMap((partition) => partition.problems)];
      expect({ path, found }).toEqual({ path, found: [] });
      if (path.endsWith('.snapshot')) continue; // of those behind it
      expect({ path, isThere: (await disk.stat(path)) !== undefined }).toMatchObject({
        isThere: true,
      });
    }
    const kinds = new Set(lost.map((name) => extname(name)));
    const expected = ['', '.index', '.snapshot', '.timeindex', '.txnindex'];
    if (!isKilled) expect([...kinds].sort()).toEqual(expected);
  },
);
