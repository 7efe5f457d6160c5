import { dirname, join } from 'node:path';
import { ManualClock } from '../testing/manual-clock.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { batchLastOffset, batchSizeBytes, readBatchHeader } from '../record/batch.ts';
import type { BatchSeal } from '../record/batch-writer.ts';
import {
  batchOf,
  recordsOf,
  TEST_PLACE,
  type PlainRecord,
  type RecordToWrite,
} from '../record/records.suite.ts';
import { replaceFile } from '../storage/atomic-file.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { silentLogger } from '../logger.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { nodeFileSystem } from '../storage/node-fs.ts';
import type { Compacted, CompactOptions } from './compaction/compaction.ts';
import { LOG_SUFFIX, offsetOfName } from './segment/file-names.ts';
import type { TornTail } from './load/load.ts';
import { redoJournal } from './load/redo-journal.ts';
import { SyncJournal } from './durability/sync-journal.ts';
import { LOG_CONFIG_DEFAULTS, type LogConfig } from './log-config.ts';
import { PartitionLog } from './partition-log.ts';
import type { AbortedDigest } from './segment/transaction-index.ts';
import type { Appended } from './partition-log-options.ts';

/** The state that a broker stores for its logs. */
export interface Checkpoints {
  readonly recoveryPoint: number;
  readonly logStartOffset: number;
  readonly cleanedOffset: number;
  /** As `KnownAborted`, in JSON. */
  readonly aborted?: { readonly upTo: number; readonly segments: [number, AbortedDigest][] };
}

export interface HostOptions {
  readonly fileSystem: FileSystem;
  /** The partition's directory; its checkpoints are beside it. */
  readonly directory: string;
  readonly config?: Partial<LogConfig>;
  readonly clock?: ManualClock;
  /** Syncs use a journal that is soon full. */
  readonly hasJournal?: boolean;
}

const TOPIC_ID = 'id-of-the-topic';

/** Both file systems, for `describe.each`, with a function that creates an empty directory. */
export const FILE_SYSTEMS: readonly (readonly [string, () => Promise<HostOptions>])[] = [
  [
    'nodeFileSystem',
    () =>
      Promise.resolve({
        fileSystem: nodeFileSystem,
        directory: join(temporaryDirectory(), 'test-0'),
      }),
  ],
  [
    'MemoryFileSystem',
    () => Promise.resolve({ fileSystem: new MemoryFileSystem(), directory: '/data/test-0' }),
  ],
];

/** Small segments with an index entry every few batches, so that little data tests a lot. */
const SMALL: LogConfig = {
  ...LOG_CONFIG_DEFAULTS,
  segmentBytes: 1000,
  indexIntervalBytes: 200,
};

/** One partition's log with the parts of a broker that it needs: the checkpoint files. */
export class LogHost {
  readonly log: PartitionLog;
  readonly clock: ManualClock;
  readonly tornTail: TornTail | undefined;
  /** How often the log reported that more can be read. */
  advancedCount = 0;
  readonly #options: HostOptions;
  #checkpoints: Checkpoints;
  #chores: Promise<void> = Promise.resolve();
  readonly #journal: SyncJournal | undefined;

  private constructor(
    options: HostOptions,
    clock: ManualClock,
    opened: {
      log: PartitionLog;
      tornTail: TornTail | undefined;
      checkpoints: Checkpoints;
      journal: SyncJournal | undefined;
    },
  ) {
    this.#journal = opened.journal;
    this.#options = options;
    this.clock = clock;
    this.log = opened.log;
    this.tornTail = opened.tornTail;
    this.#checkpoints = opened.checkpoints;
  }

  /** Creates the directory if there is none, durably, and opens the log. */
  static async open(options: HostOptions): Promise<LogHost> {
    const { fileSystem, directory, clock = new ManualClock(), hasJournal = false } = options;
    const root = dirname(directory);
    const journalOptions = { groupMin: 1, fileBytes: 700, logger: silentLogger };
    const journal = hasJournal
      ? new SyncJournal({ fileSystem, directory: root, ...journalOptions })
      : undefined;
    const checkpoints = await prepare(options).catch((cause: unknown) => {
      throw storageFailure(directory, 'open', cause);
    });
    await redoJournal(fileSystem, root, () => TOPIC_ID);
    let host: LogHost | undefined = undefined;
    const { log, tornTail } = await PartitionLog.open({
      fileSystem,
      clock,
      directory,
      place: TEST_PLACE,
      config: { ...SMALL, ...options.config },
      ...checkpoints,
      knownAborted: checkpoints.aborted && {
        upTo: checkpoints.aborted.upTo,
        segments: new Map(checkpoints.aborted.segments),
      },
      ...(journal && { journal: { journal, topicId: TOPIC_ID } }),
      advanced: () => {
        if (host !== undefined) host.advancedCount++;
      },
    });
    host = new LogHost(options, clock, { log, tornTail, checkpoints, journal });
    return host;
  }

  get fileSystem(): FileSystem {
    return this.#options.fileSystem;
  }

  get directory(): string {
    return this.#options.directory;
  }

  async fileNames(): Promise<string[]> {
    return (await this.fileSystem.list(this.directory)).map(({ name }) => name).sort();
  }

  /** The base offsets of the segments, from their file names. */
  async segmentBases(): Promise<number[]> {
    const bases = (await this.fileNames()).map((name) => offsetOfName(name, LOG_SUFFIX));
    return bases.filter((base) => base !== undefined);
  }

  append(records: readonly RecordToWrite[], seal: BatchSeal = {}): Appended {
    return this.log.append(batchOf(records, seal));
  }

  /** Appends each value as a separate batch, written one by one. */
  async appendEach(...values: readonly string[]): Promise<void> {
    for (const value of values) await this.append([{ value }]).written;
  }

  checkpoint(): Promise<void> {
    return this.#alone(async () => {
      await this.#save({ recoveryPoint: await this.log.checkpoint() });
    });
  }

  deleteRecords(offset: number): Promise<void> {
    return this.#alone(async () => {
      await this.#save({ logStartOffset: await this.log.deleteRecords(offset) });
    });
  }

  applyRetention(): Promise<void> {
    return this.#alone(async () => {
      await this.log.applyRetention();
      await this.#save({ logStartOffset: this.log.logStartOffset });
    });
  }

  /** Compacts all that a checkpoint has covered; if asked, with memory for only a few keys. */
  compact(options: Partial<CompactOptions> = {}): Promise<Compacted | undefined> {
    return this.#alone(async () => {
      const { compaction } = this.log;
      const upTo = this.#checkpoints.recoveryPoint;
      const done = await compaction.run({ upTo, dedupeBufferBytes: 1 << 20, ...options });
      await this.#save({ cleanedOffset: compaction.cleanedOffset });
      return done;
    });
  }

  close(): Promise<void> {
    return this.#alone(async () => {
      try {
        await this.#save({ recoveryPoint: await this.log.close() });
      } catch (cause) {
        await this.#journal?.close({ isNeeded: true });
        throw cause;
      }
      await this.#journal?.close({ isNeeded: false });
    });
  }

  /** Closes the files as they are. */
  async abandon(): Promise<void> {
    await this.log.abandon(); // writes nothing
    await this.#journal?.close({ isNeeded: true });
  }

  /** Ends this process without warning and reopens the log in the next one. */
  async killAndOpen(changes: Partial<HostOptions> = {}): Promise<LogHost> {
    await this.abandon();
    return LogHost.open({ ...this.#options, ...changes });
  }

  async closeAndOpen(changes: Partial<HostOptions> = {}): Promise<LogHost> {
    await this.close();
    return LogHost.open({ ...this.#options, ...changes });
  }

  /** As in a broker: one chore at a time. */
  #alone<R>(chore: () => Promise<R>): Promise<R> {
    const done = this.#chores.then(chore);
    this.#chores = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  async #save(changes: Partial<Checkpoints>): Promise<void> {
    const { upTo, segments } = this.log.knownAborted;
    const aborted = { upTo, segments: [...segments] };
    this.#checkpoints = { ...this.#checkpoints, ...changes, aborted };
    const content = Buffer.from(JSON.stringify(this.#checkpoints));
    await replaceFile(this.#options.fileSystem, checkpointsPath(this.#options), content);
  }
}

/** Creates the directory if there is none, durably, and reads the stored state. */
async function prepare(options: HostOptions): Promise<Checkpoints> {
  const { fileSystem, directory } = options;
  if ((await fileSystem.stat(directory)) === undefined) {
    await fileSystem.makeDirectory(directory);
    await fileSystem.syncDirectory(dirname(directory));
    await fileSystem.syncDirectory(dirname(dirname(directory)));
  }
  return readCheckpoints(options);
}

async function readCheckpoints(
  options: Pick<HostOptions, 'fileSystem' | 'directory'>,
): Promise<Checkpoints> {
  const path = checkpointsPath(options);
  if ((await options.fileSystem.stat(path)) === undefined) {
    return { recoveryPoint: 0, logStartOffset: 0, cleanedOffset: 0 };
  }
  return JSON.parse((await options.fileSystem.readFile(path)).toString()) as Checkpoints;
}

function checkpointsPath({ directory }: Pick<HostOptions, 'directory'>): string {
  return join(dirname(directory), 'checkpoints');
}

/** Reads from `offset` to the high watermark, in as many reads as necessary. */
export async function readBatches(
  log: PartitionLog,
  offset = log.logStartOffset,
  { maxBytes = 400, endOffset = Infinity } = {},
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let next = offset; ;) {
    const { bytes, nextOffset } = await log.read(next, { maxBytes, endOffset });
    if (bytes.length === 0) return Buffer.concat(chunks);
    chunks.push(bytes);
    next = nextOffset;
  }
}

/** The records from `offset` on, as a consumer sees them: it drops earlier ones. */
export async function readRecords(
  log: PartitionLog,
  offset = log.logStartOffset,
  limits: { maxBytes?: number; endOffset?: number } = {},
): Promise<PlainRecord[]> {
  const records = recordsOf(await readBatches(log, offset, limits));
  return records.filter((record) => record.offset >= offset);
}

/** The values of all records, in order. */
export async function readValues(log: PartitionLog): Promise<(string | null)[]> {
  return (await readRecords(log)).map(({ value }) => value);
}

/** First and last offset of each batch. */
export function spansOf(batches: Buffer): [number, number][] {
  const spans: [number, number][] = [];
  for (let at = 0; at < batches.length; at += batchSizeBytes(batches, at)) {
    spans.push([readBatchHeader(batches, at).baseOffset, batchLastOffset(batches, at)]);
  }
  return spans;
}

/** Every file below a directory with its content, for comparing. */
export async function filesIn(
  fileSystem: FileSystem,
  directory: string,
): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const { name, isDirectory } of await fileSystem.list(directory)) {
    if (isDirectory) continue;
    files.set(name, (await fileSystem.readFile(join(directory, name))).toString('base64'));
  }
  return files;
}
