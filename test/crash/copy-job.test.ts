import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog, seededRandom, silentLogger } from '../../core/index.ts';
import { verifyOutput } from '../../connect/index.ts';
import { runChild } from '../kit/child.ts';
import { temporaryDirectory } from '../kit/temporary-directory.ts';
import { expectedIds, writeRows, writtenIds } from './copy-job.ts';

const PROGRAM = 'test/crash/copy-job-process.ts';
const seed = Number(process.env['SEED'] ?? 20260101);

test(`[JOB-COPY-4] a copy killed at random moments (seed ${seed}): each record once`, async () => {
  const directory = temporaryDirectory();
  const random = seededRandom(seed);
  writeRows(directory);
  let killed = 0;
  for (let kill = 0; kill < 12; kill++) {
    const afterMs = 200 + random.next() * 500;
    const { how } = await runChild(PROGRAM, [directory], { afterMs, since: 'spawn' });
    expect(['SIGKILL', '0']).toContain(how);
    if (how === 'SIGKILL') killed++;
    if (how === '0') break;
  }
  expect(killed).toBeGreaterThan(2); // otherwise little was tested
  expect((await runChild(PROGRAM, [directory])).how).toBe('0');
  expect(await writtenIds(directory)).toEqual(expectedIds());
  for (const folder of ['out-growing', 'out-whole']) {
    expect((await verifyOutput(join(directory, folder))).problems).toEqual([]);
  }
  await using log = await openLog(join(directory, 'log'), { logger: silentLogger });
  const offsets = await log.admin().offsets('rows');
  expect(offsets).toHaveLength(2);
  for (const { earliest, latest } of offsets) expect(earliest).toBe(latest);
}, 120_000);
