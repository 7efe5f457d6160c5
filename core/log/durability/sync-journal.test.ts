import { beforeEach, describe, expect, test } from 'vitest';
import { LogError } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { seededRandom } from '../../random.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import { offsetName } from '../segment/file-names.ts';
import { redoJournal } from '../load/redo-journal.ts';
import { JOURNAL_FILES, SyncJournal, type SyncRequest } from './sync-journal.ts';

const topicIds = new Map([['t', 'id-of-t']]);
const redo = (fileSystem: MemoryFileSystem) =>
  redoJournal(fileSystem, '/data', (topic) => topicIds.get(topic));

/** Partitions t-0, t-1 ... as the journal knows them: a file each, and their synced bytes. */
class Partitions {
  readonly fileSystem = new MemoryFileSystem({ random: seededRandom(1) });
  /** By partition: the unsynced bytes of its file. */
  readonly written = new Map<number, string>();
  readonly flushed: number[] = [];
  readonly synced: number[] = [];
  /** The failure of a flush. */
  flushFailure: Error | undefined;
  readonly #sources = new Map<number, SyncRequest['source']>();

  async make(count: number): Promise<void> {
    await this.fileSystem.makeDirectory('/data');
    await this.fileSystem.syncDirectory('/');
    for (let partition = 0; partition < count; partition++) {
      await this.fileSystem.makeDirectory(`/data/t-${partition}`);
      const file = await this.fileSystem.open(pathOf(partition), 'create');
      await file.close();
      await this.fileSystem.syncDirectory(`/data/t-${partition}`);
      this.written.set(partition, '');
    }
    await this.fileSystem.syncDirectory('/data');
  }

  /** Writes to a partition and returns its request to the journal. */
  async write(partition: number, content: string, topicId = 'id-of-t'): Promise<SyncRequest> {
    const before = this.written.get(partition)!;
    const file = await this.fileSystem.open(pathOf(partition), 'write');
    await file.write([Buffer.from(content)], before.length);
    await file.close();
    this.written.set(partition, before + content);
    const [directory, position] = [`t-${partition}`, before.length];
    const entry = { directory, topicId, baseOffset: 7, position, bytes: Buffer.from(content) };
    return {
      entry,
      nextOffset: before.length + content.length,
      source: this.#sourceOf(partition),
      syncFile: () => {
        this.synced.push(partition);
        return Promise.resolve();
      },
    };
  }

  async writeAll(content: string): Promise<SyncRequest[]> {
    return Promise.all([...this.written.keys()].map((partition) => this.write(partition, content)));
  }

  /** The contents of the files, in order. */
  async contents(fileSystem: MemoryFileSystem): Promise<string[]> {
    const files = [...this.written.keys()].map((each) => fileSystem.readFile(pathOf(each)));
    return (await Promise.all(files)).map(String);
  }

  #sourceOf(partition: number): SyncRequest['source'] {
    const known = this.#sources.get(partition);
    if (known !== undefined) return known;
    const flush = async (): Promise<void> => {
      if (this.flushFailure !== undefined) throw this.flushFailure;
      const file = await this.fileSystem.open(pathOf(partition), 'write');
      await file.sync();
      await file.close();
      this.flushed.push(partition);
    };
    const source = { flush };
    this.#sources.set(partition, source);
    return source;
  }
}

const pathOf = (partition: number) => `/data/t-${partition}/${offsetName(7)}.log`;
const all = (journal: SyncJournal, requests: readonly SyncRequest[]) =>
  Promise.all(requests.map((request) => journal.sync(request)));

let partitions: Partitions;
const warnings: string[] = [];
const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
beforeEach(async () => {
  partitions = new Partitions();
  await partitions.make(4);
});

function journalOf(fileBytes?: number): SyncJournal {
  const { fileSystem } = partitions;
  return new SyncJournal({
    fileSystem,
    directory: '/data',
    logger,
    ...(fileBytes && { fileBytes }),
  });
}

describe('syncs', () => {
  test('[LOG-25] few partitions are synced directly', async () => {
    const journal = journalOf();
    const requests = (await partitions.writeAll('a')).slice(0, 3);
    expect(await all(journal, requests)).toEqual([false, false, false]);
    expect(partitions.synced).toEqual([0, 1, 2]);
    await journal.close({ isNeeded: false });
    expect((await partitions.fileSystem.list('/data')).length).toBe(4);
  });

  test('[LOG-25] one sync makes many durable, and a power cut takes nothing', async () => {
    const journal = journalOf();
    const syncs: string[] = [];
    const first = await partitions.writeAll('abc');
    partitions.fileSystem.onOperation = ({ kind, path }) => {
      if (kind === 'sync') syncs.push(path);
    };
    expect(await all(journal, first)).toEqual([true, true, true, true]);
    expect(await all(journal, await partitions.writeAll('de'))).toEqual([true, true, true, true]);
    expect(syncs).toEqual(['/data/sync-journal-0', '/data/sync-journal-0']);
    for (let seed = 0; seed < 30; seed++) {
      const image = partitions.fileSystem.crash(seededRandom(seed));
      await redo(image);
      const cut = image.crash(seededRandom(seed));
      expect(await partitions.contents(cut)).toEqual(Array(4).fill('abcde'));
      expect((await cut.list('/data')).map(({ name }) => name).sort()).toEqual(
        ['t-0', 't-1', 't-2', 't-3'], // the journal is gone
      );
    }
  });

  test('[LOG-25] a full journal switches files and flushes the partitions', async () => {
    const journal = journalOf(250); // one group per file
    let content = '';
    for (let round = 0; round < 9; round++) {
      const isJournaled = await all(journal, await partitions.writeAll(String(round)));
      expect(isJournaled).toEqual(Array(4).fill(true));
      content += String(round);
      const image = partitions.fileSystem.crash(seededRandom(round));
      await redo(image);
      expect(await partitions.contents(image)).toEqual(Array(4).fill(content));
    }
    expect(partitions.flushed.length).toBeGreaterThanOrEqual(12);
  });

  test('[LOG-25] a partition that cannot be flushed keeps its bytes in the journal', async () => {
    const journal = journalOf(250);
    partitions.flushFailure = new LogError('KAFKA_STORAGE_ERROR', 'no', {
      file: 'x',
      operation: 'sync',
    });
    const isJournaled: boolean[] = [];
    for (let round = 0; round < 6; round++) {
      isJournaled.push((await all(journal, await partitions.writeAll('x')))[0]!);
    }
    expect(isJournaled).toEqual([true, true, false, false, false, false]);
    await journal.close({ isNeeded: true });
    const image = partitions.fileSystem.crash(seededRandom(3));
    await redo(image);
    for (const content of await partitions.contents(image)) expect(content).toMatch(/^xx/);
  });

  test.each(['write', 'sync'] as const)(
    '[LOG-25] if the journal fails (%s), each partition is synced directly, with a warning',
    async (kind) => {
      const journal = journalOf();
      expect((await all(journal, await partitions.writeAll('a')))[0]).toBe(true);
      const requests = await partitions.writeAll('b');
      const isOfJournal = (operation: { kind: string; path: string }) =>
        operation.kind === kind && operation.path.includes('journal');
      partitions.fileSystem.fail({ at: isOfJournal, code: 'EIO' });
      expect(await all(journal, requests)).toEqual([false, false, false, false]);
      expect(partitions.synced).toEqual([0, 1, 2, 3]);
      expect(warnings.at(-1)).toMatch(/the journal cannot be (written|synced)/);
      const isTakenUp = (await all(journal, await partitions.writeAll('c')))[0];
      expect(isTakenUp).toBe(kind === 'write'); // after a failed sync never again
      await journal.close({ isNeeded: false });
    },
  );
});

test('[LOG-25] a journal whose name a failed sync has lost is not used', async () => {
  const journal = journalOf();
  partitions.fileSystem.fail({ at: ({ kind }) => kind === 'syncDirectory', code: 'EIO' });
  for (const content of ['a', 'b']) {
    const requests = await partitions.writeAll(content);
    expect(await all(journal, requests)).toEqual([false, false, false, false]);
  }
  await journal.close({ isNeeded: false });
  expect(partitions.fileSystem.openFileCount).toBe(0);
});

describe('after a crash', () => {
  test('[LOG-26] bytes of a deleted or recreated topic are left out', async () => {
    const journal = journalOf();
    const requests = [
      await partitions.write(0, 'x', 'id-of-another-t'),
      await partitions.write(1, 'a'),
      await partitions.write(2, 'a'),
      await partitions.write(3, 'a'),
    ];
    await all(journal, requests);
    await partitions.fileSystem.remove(pathOf(0));
    await redo(partitions.fileSystem);
    expect(await partitions.fileSystem.list('/data/t-0')).toEqual([]);
  });

  test('[LOG-26] a journal removed before the process died does not come back', async () => {
    await all(journalOf(), await partitions.writeAll('a'));
    const { fileSystem } = partitions;
    const killed: MemoryFileSystem[] = [];
    fileSystem.onOperation = ({ kind }) => {
      if (kind === 'remove') killed.push(fileSystem.kill());
    };
    await redo(fileSystem);
    expect(killed.length).toBe(1);
    await redo(killed[0]!); // from here on partitions may lose the journal's bytes
    for (let seed = 0; seed < 30; seed++) {
      const names = (await killed[0]!.crash(seededRandom(seed)).list('/data')).map(
        ({ name }) => name,
      );
      expect(names).not.toContain(JOURNAL_FILES[0]);
    }
  });

  test('[LOG-26] bytes of a segment that another one follows are already there', async () => {
    await all(journalOf(), await partitions.writeAll('a'));
    const { fileSystem } = partitions;
    const later = await fileSystem.open(`/data/t-0/${offsetName(9)}.log`, 'create');
    await later.close();
    const before = await fileSystem.open(pathOf(0), 'write');
    await before.truncate(0); // as compaction may
    await before.close();
    await redo(fileSystem);
    expect(await partitions.contents(fileSystem)).toEqual(['', 'a', 'a', 'a']);
  });

  test('[LOG-26] missing bytes that were durable before are CORRUPT_FILE', async () => {
    const journal = journalOf();
    await partitions.writeAll('abc');
    await all(journal, await partitions.writeAll('d'));
    const file = await partitions.fileSystem.open(pathOf(2), 'write');
    await file.truncate(1);
    await file.close();
    await expect(redo(partitions.fileSystem)).rejects.toMatchObject({
      code: 'CORRUPT_FILE',
      details: { file: pathOf(2), reason: 'it ends at byte 1, but more of it was durable' },
    });
  });

  test('[LOG-26] a flipped byte of the journal ends it, and nothing else is written', async () => {
    const journal = journalOf();
    for (const content of ['a', 'b', 'c']) await all(journal, await partitions.writeAll(content));
    await journal.close({ isNeeded: true });
    const path = `/data/${JOURNAL_FILES[0]}`;
    const bytes = await partitions.fileSystem.readFile(path);
    for (let at = 0; at < bytes.length; at++) {
      const image = partitions.fileSystem.kill();
      for (const partition of partitions.written.keys()) {
        const file = await image.open(pathOf(partition), 'write');
        await file.truncate(0);
        await file.close();
      }
      const file = await image.open(path, 'write');
      await file.write([Buffer.from([bytes[at]! ^ 0x10])], at);
      await file.close();
      await redo(image);
      const whole = Math.floor(at / (bytes.length / 3)); // frames of one length
      expect(await partitions.contents(image)).toEqual(Array(4).fill('abc'.slice(0, whole)));
    }
  });
});
