import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LogError } from '../../errors.ts';
import { BATCH, batchSizeBytes } from '../../record/batch.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { LogHost, readRecords } from '../log-host.suite.ts';

const directory = '/data/test-0';

/** A closed log of several segments, each with an index. */
async function closedLog(): Promise<MemoryFileSystem> {
  const fileSystem = new MemoryFileSystem();
  const config = { segmentBytes: 600, indexIntervalBytes: 150 };
  const host = await LogHost.open({ fileSystem, directory, config });
  for (let count = 0; count < 12; count++) {
    await host.append([{ value: `first ${count}` }, { value: 'second' }, { value: 'third' }])
      .written;
  }
  await host.close();
  return fileSystem;
}

/** The records that a reader gets from each offset on, or the code of the error. */
async function readAll(fileSystem: MemoryFileSystem): Promise<unknown> {
  try {
    const host = await LogHost.open({ fileSystem, directory });
    const { log } = host;
    const found = [];
    for (let offset = 0; offset < log.nextOffset; offset += 2) {
      const records = await readRecords(log, offset, { maxBytes: 1 });
      found.push(records.map((record) => `${record.offset} ${String(record.value)}`));
    }
    await log.abandon();
    return found;
  } catch (error) {
    return LogError.is(error, 'CORRUPT_BATCH') ? error.code : error;
  }
}

test('[LOG-15] a changed offset of a batch is detected, without a checksum', async () => {
  const whole = await closedLog();
  expect(await readAll(whole.kill())).toHaveLength(18);
  const names = (await whole.list(directory)).map(({ name }) => name);
  for (const name of names.filter((each) => each.endsWith('.log'))) {
    const path = join(directory, name);
    const content = await whole.readFile(path);
    for (let start = 0; start < content.length; start += batchSizeBytes(content, start)) {
      for (const field of [BATCH.baseOffset, BATCH.lastOffsetDelta]) {
        for (let bit = 0; bit < (field === BATCH.baseOffset ? 64 : 32); bit++) {
          const at = start + field + (bit >> 3);
          const disk = whole.kill();
          const file = await disk.open(path, 'write');
          await file.write([Buffer.from([content[at]! ^ (1 << (bit & 7))])], at);
          await file.close();
          const found = await readAll(disk);
          expect({ name, at, bit, found }).toEqual({ name, at, bit, found: 'CORRUPT_BATCH' });
        }
      }
    }
  }
});
