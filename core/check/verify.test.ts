import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { checkEach } from '../../test/kit/check-each.ts';
import { readTopic } from '../../test/kit/read-topic.ts';
import { shareOf } from '../../test/kit/share.ts';
import { LogError } from '../errors.ts';
import { seededRandom } from '../random.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { changesNothing } from '../storage/memory-operations.ts';
import {
  DIRECTORY,
  filesBelow,
  openSample,
  overwrite,
  plain,
  sampleLog,
} from './sample-log.suite.ts';
import { verifyLog, type Verification } from './verify.ts';

const verify = (disk: MemoryFileSystem, directory = DIRECTORY): Promise<Verification> =>
  verifyLog(directory, { fileSystem: disk });

/** Bytes of some files: of each at most so many. */
function* bytesOf(files: ReadonlyMap<string, Buffer>, most: number) {
  for (const [path, content] of files) {
    for (const [at, byte] of shareOf([...content.entries()], most)) yield { path, at, byte };
  }
}

function problemsOf({ problems, partitions }: Verification) {
  return [...problems, ...partitions.flatMap((partition) => partition.problems)];
}

/** Bytes whose change verify cannot detect, and why: another value is just as valid. */
const UNNOTICED_MAX: Readonly<Record<string, number>> = {
  'meta.properties': Infinity, // ids, of which there is no second source
  '.kafka_cleanshutdown': Infinity, // counts by being there
  'topics.json': 20, // a digit of a setting: the other value is allowed too
  'producer-ids': 4, // a digit: the ids up to there are taken for used
  'recovery-point-offset-checkpoint': 1, // the end of its last line
  'replication-offset-checkpoint': 1,
  // The first offset of an aborted transaction of a compacted topic: the record may be gone.
  '__consumer_offsets-0/00000000000000000000.txnindex': 4,
};

test('[VERIFY-1] a sound log has no problems, closed or killed', async () => {
  for (const isKilled of [false, true]) {
    const found = await verify(await sampleLog({ isKilled }));
    expect(problemsOf(found)).toEqual([]);
    const counts = found.partitions.map(({ topic, segments, batches, records, nextOffset }) => {
      return { topic, segments, batches, records, nextOffset };
    });
    expect(counts).toMatchObject([
      { topic: '__consumer_offsets', segments: 1 },
      { topic: '__transaction_state', segments: 1 },
      { topic: 'plain', segments: 2, batches: 16, records: 16, nextOffset: 16 },
      { topic: 'sure', segments: 2, batches: 16, records: 24, nextOffset: 24 },
    ]);
  }
});

test('[VERIFY-1] [KAFKA-3] empty checkpoints of a broker are no problem', async () => {
  const disk = await sampleLog({ isKilled: true });
  for (const name of ['recovery-point', 'log-start', 'replication', 'cleaner']) {
    await replaceFile(disk, `${DIRECTORY}/${name}-offset-checkpoint`, Buffer.alloc(0));
  }
  expect(problemsOf(await verify(disk))).toEqual([]);
  const log = await openSample(disk);
  expect((await readTopic(log, plain)).length).toBe(16);
  await log.close();
});

test('[VERIFY-1] [KAFKA-3] other files and preallocated indexes of a broker pass', async () => {
  const disk = await sampleLog();
  for (const suffix of ['index', 'timeindex']) {
    const path = `${DIRECTORY}/plain-0/00000000000000000010.${suffix}`;
    const entries = await disk.readFile(path);
    await replaceFile(disk, path, Buffer.concat([entries, Buffer.alloc(120)]));
  }
  await disk.makeDirectory(`${DIRECTORY}/__cluster_metadata-0`);
  const log = `${DIRECTORY}/__cluster_metadata-0/00000000000000000000.log`;
  await replaceFile(disk, log, Buffer.from('of the controller'));
  expect(problemsOf(await verify(disk))).toEqual([]);
});

test('[VERIFY-2] every changed byte is detected, and verify changes none', async () => {
  const whole = await sampleLog();
  const unnoticed = new Map<string, number>();
  const changes: string[] = [];
  await checkEach(bytesOf(await filesBelow(whole), 60), async ({ path, at, byte }) => {
    const disk = whole.kill(seededRandom(at));
    // Another bit at each byte, so that each bit gets its turn.
    await overwrite(disk, path, Buffer.from([byte ^ (1 << (at % 8))]), at);
    disk.onOperation = ({ kind }) => {
      if (!changesNothing(kind)) changes.push(kind);
    };
    const { problemCount } = await verify(disk, dirname(path));
    const name = path.slice(`${DIRECTORY}/`.length);
    if (problemCount === 0) unnoticed.set(name, (unnoticed.get(name) ?? 0) + 1);
  });
  expect(changes).toEqual([]);
  const unexpected = [...unnoticed].filter(([name, count]) => count > (UNNOTICED_MAX[name] ?? 0));
  expect(unexpected).toEqual([]);
}, 60_000);

test('[VERIFY-2] a changed byte at the end of a killed log is at least reported', async () => {
  const whole = await sampleLog({ isKilled: true });
  const name = `${DIRECTORY}/plain-0/00000000000000000010.log`;
  const content = await whole.readFile(name);
  const severities = new Set<string>();
  await checkEach(bytesOf(new Map([[name, content]]), 300), async ({ path, at, byte }) => {
    const disk = whole.kill(seededRandom(at));
    await overwrite(disk, path, Buffer.from([byte ^ 4]), at);
    const [first] = problemsOf(await verify(disk, dirname(path)));
    severities.add(first?.severity ?? `nothing at ${at}`);
  });
  // Before sound batches it is no torn end; in the last batch the two look the same.
  expect([...severities].sort()).toEqual(['note', 'problem']);
}, 60_000);

test('[VERIFY-3] a problem names file, byte, offset, consequences and remedy', async () => {
  const disk = await sampleLog();
  const path = `${DIRECTORY}/plain-0/00000000000000000000.log`;
  const file = await disk.readFile(path);
  const second = 12 + file.readInt32BE(8);
  await overwrite(disk, path, Buffer.from([0xff]), second + 70);
  const [problem, ...others] = problemsOf(await verify(disk));
  expect(others).toEqual([]);
  expect(problem).toMatchObject({
    severity: 'problem',
    file: path,
    positionBytes: second,
    offset: 1,
    what: expect.stringContaining('checksum mismatch') as string,
    meaning: expect.stringMatching(/offsets 1 to 1\..*`millrace repair`/) as string,
  });
});

test('[VERIFY-4] a log that another process writes is read to its last whole batch', async () => {
  const disk = new MemoryFileSystem();
  const log = await openSample(disk);
  const producer = log.producer();
  await producer.send(plain, { key: 'a', value: 'whole' });
  const path = `${DIRECTORY}/plain-0/00000000000000000000.log`;
  const { length } = await disk.readFile(path);
  await overwrite(disk, path, Buffer.alloc(30, 1), length); // an unfinished write
  const found = await verify(disk);
  expect(found).toMatchObject({ ownerPid: process.pid, problemCount: 0 });
  expect(problemsOf(found)).toEqual([]);
  const partition = found.partitions.find(({ topic }) => topic === plain.name);
  expect(partition).toMatchObject({ records: 1, nextOffset: 1 });
  await log.close();
});

test('[VERIFY-5] a directory without a log is refused', async () => {
  const disk = new MemoryFileSystem();
  await disk.makeDirectory('/empty');
  for (const directory of ['/empty', '/none']) {
    const error: unknown = await verify(disk, directory).catch((cause: unknown) => cause);
    expect(LogError.is(error, 'DIRECTORY_UNUSABLE') && error.details.directory).toBe(directory);
  }
});
