import { expect, test } from 'vitest';
import { FaultyFileSystem } from '../../test/kit/faulty-fs.ts';
import { openLog } from '../client/open-log.ts';
import { topic } from '../client/topic.ts';
import { silentLogger } from '../logger.ts';
import { string } from '../serde/text.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { verifyLog } from './verify.ts';

const serdes = { key: string(), value: string(), partitions: 2 };
const kept = topic('kept', serdes);
const gone = topic('gone', { ...serdes, config: { segmentBytes: 1024 } });

/** Removes the segments first, then runs `between`, then removes the rest. */
class SlowRemoval extends FaultyFileSystem {
  between: () => Promise<void> = () => Promise.resolve();
  readonly #disk: FileSystem;

  constructor(disk: FileSystem) {
    super(undefined, disk);
    this.#disk = disk;
  }

  override async removeDirectory(path: string): Promise<void> {
    for (const { name } of await this.#disk.list(path)) {
      if (name.endsWith('.log')) await this.#disk.remove(`${path}/${name}`);
    }
    await this.between();
    await super.removeDirectory(path);
  }
}

/**
 * Verifies a log while the process that has it open deletes a topic, and perhaps recreates it,
 * right before call number `at` of verify. Returns the result of verify and its number of calls.
 */
async function verifyWhile(at: number, what: 'deleted' | 'half deleted' | 'made again') {
  const disk = new MemoryFileSystem();
  const slow = new SlowRemoval(disk);
  const log = await openLog('/data', { fileSystem: slow, logger: silentLogger });
  for (const name of [kept, gone]) {
    for (let index = 0; index < 6; index++) {
      await log.producer().send(name, { value: 'v'.repeat(400), partition: index % 2 });
    }
  }
  let calls = 0;
  let deleted = Promise.resolve();
  let goOn: () => void = () => undefined;
  const reading = new FaultyFileSystem(async () => {
    if (++calls !== at) return undefined;
    const half = new Promise<void>((resolve) => {
      slow.between = () => {
        resolve();
        return new Promise((finish) => (goOn = finish));
      };
    });
    if (what !== 'half deleted') slow.between = () => Promise.resolve();
    deleted = log.admin().deleteTopics([gone.name]);
    await (what === 'half deleted' ? half : deleted);
    if (what === 'made again') {
      await log.admin().createTopic(gone.name, { partitions: 2 });
      await log.producer().send(gone, { value: 'another' });
    }
    return undefined;
  }, disk);
  try {
    return { found: await verifyLog('/data', { fileSystem: reading }), calls };
  } finally {
    slow.between = () => Promise.resolve();
    goOn();
    await deleted;
    await log.close();
  }
}

test.each(['deleted', 'half deleted', 'made again'] as const)(
  '[VERIFY-4] verify leaves out a topic that is %s meanwhile',
  async (what) => {
    for (let at = 1; ; at++) {
      const { found, calls } = await verifyWhile(at, what);
      const problems = [found, ...found.partitions].flatMap((each) => each.problems);
      expect({ at, problems }).toEqual({ at, problems: [] });
      const names = found.partitions.map(({ topic: name }) => name);
      expect(names.filter((name) => name === kept.name)).toHaveLength(2);
      if (calls < at) {
        expect(at).toBeGreaterThan(40);
        break;
      }
    }
  },
  60_000,
);
