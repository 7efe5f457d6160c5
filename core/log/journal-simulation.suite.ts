import { expectOneOf, expectSame } from '../../test/kit/quick-expect.ts';
import { LogError } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { seededRandom, type Random } from '../random.ts';
import { batchOf, recordsOf } from '../record/records.suite.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import type { OperationKind } from '../storage/memory-operations.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { readBatches } from './log-host.suite.ts';
import { LOG_CONFIG_DEFAULTS } from './log-config.ts';
import { PartitionLog } from './partition-log.ts';
import { redoJournal } from './load/redo-journal.ts';
import { SyncJournal } from './durability/sync-journal.ts';

const PARTITIONS = 5;
const LIVES = 8;
const FAULTS: readonly OperationKind[] = [
  'write',
  'sync',
  'syncDirectory',
  'rename',
  'create',
  'truncate',
];
const CONFIG = { ...LOG_CONFIG_DEFAULTS, segmentBytes: 1500, indexIntervalBytes: 200 };
const directoryOf = (partition: number) => `/data/t-${partition}`;
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The facts about a partition that are stored outside its directory. */
interface Known {
  recoveryPoint: number;
  logStartOffset: number;
  /** By offset: the records that survive a power cut. */
  readonly durable: Map<number, string>;
  /** By offset: all that was ever appended there. */
  readonly attempts: Map<number, Set<string>>;
}

/** Some partitions that share a journal that is soon full. */
class Partitions {
  #logs: PartitionLog[] = [];
  #journal: SyncJournal | undefined;
  #underway: Promise<void>[] = [];
  #count = 0;
  readonly #random: Random;
  known: Known[] = Array.from({ length: PARTITIONS }, () => {
    return { recoveryPoint: 0, logStartOffset: 0, durable: new Map(), attempts: new Map() };
  });

  constructor(random: Random) {
    this.#random = random;
  }

  async open(fileSystem: MemoryFileSystem): Promise<void> {
    this.#logs = [];
    const options = { groupMin: 2, fileBytes: 1200, logger: silentLogger };
    const journal = new SyncJournal({ fileSystem, directory: '/data', ...options });
    this.#journal = journal;
    await redoJournal(fileSystem, '/data', () => 'id');
    for (const [partition, { recoveryPoint, logStartOffset }] of this.known.entries()) {
      const { log } = await PartitionLog.open({
        fileSystem,
        clock: new ManualClock(),
        directory: directoryOf(partition),
        place: { topic: 't', partition },
        config: CONFIG,
        recoveryPoint,
        logStartOffset,
        journal: { journal, topicId: 'id' },
        advanced: () => undefined,
      });
      this.#logs.push(log);
    }
  }

  /** Ends like a killed process: writes nothing more. */
  async abandon(): Promise<void> {
    for (const log of this.#logs) await log.abandon();
    await this.#journal?.close({ isNeeded: true });
    await Promise.all(this.#underway);
    this.#underway = [];
  }

  /** Expects all durable records, and none that was not appended. */
  async check(): Promise<void> {
    for (const [partition, log] of this.#logs.entries()) {
      const { durable, attempts } = this.known[partition]!;
      const records = recordsOf(await readBatches(log));
      const values = new Map(records.map(({ offset, value }) => [offset, value]));
      for (const [offset, value] of durable) {
        if (offset < log.logStartOffset) continue;
        expectSame(values.get(offset), value, `partition ${partition} at offset ${offset}`);
      }
      for (const [offset, value] of values) expectOneOf(value, attempts.get(offset));
    }
  }

  /** Starts something without waiting for it; it may fail with an error of the log. */
  step(fileSystem: MemoryFileSystem): void {
    const chance = this.#random.next();
    if (chance < 0.75) {
      for (const [partition, log] of this.#logs.entries()) {
        if (this.#random.next() < 0.6) this.#start(() => this.#append(partition, log));
      }
    } else if (chance < 0.85) {
      const [known, log] = this.#any();
      this.#start(async () => {
        known.recoveryPoint = Math.max(known.recoveryPoint, await log.checkpoint());
      });
    } else if (chance < 0.89) {
      const [known, log] = this.#any();
      const { logStartOffset, highWatermark } = log;
      const span = highWatermark + 1 - logStartOffset;
      const upTo = logStartOffset + Math.floor(this.#random.next() * span);
      for (const offset of known.durable.keys()) if (offset < upTo) known.durable.delete(offset);
      this.#start(async () => {
        known.logStartOffset = Math.max(known.logStartOffset, await log.deleteRecords(upTo));
      });
    } else if (chance < 0.93) {
      this.#plantFault(fileSystem);
    }
  }

  async #append(partition: number, log: PartitionLog): Promise<void> {
    const { attempts, durable } = this.known[partition]!;
    const value = `${this.#count++} ${'x'.repeat(Math.floor(this.#random.next() * 100))}`;
    const { baseOffset, written } = log.append(batchOf([{ value }]));
    attempts.set(baseOffset, (attempts.get(baseOffset) ?? new Set()).add(value));
    const isSynced = this.#random.next() < 0.8;
    await written;
    if (!isSynced) return;
    await log.sync(baseOffset + 1);
    durable.set(baseOffset, value);
  }

  #plantFault(fileSystem: MemoryFileSystem): void {
    const kind = FAULTS[Math.floor(this.#random.next() * FAULTS.length)]!;
    const isOfJournal = this.#random.next() < 0.5;
    const code = this.#random.next() < 0.5 ? 'EIO' : 'ENOSPC';
    fileSystem.fail({
      at: (operation) => {
        return operation.kind === kind && operation.path.includes('journal') === isOfJournal;
      },
      code,
      ...(kind === 'write' && this.#random.next() < 0.5 && { writtenBytes: 60 }),
    });
  }

  #any(): [Known, PartitionLog] {
    const partition = Math.floor(this.#random.next() * PARTITIONS);
    return [this.known[partition]!, this.#logs[partition]!];
  }

  #start(call: () => Promise<void>): void {
    const ended = Promise.resolve()
      .then(call)
      .catch((error: unknown) => {
        if (!(error instanceof LogError)) throw error;
      });
    this.#underway.push(ended);
  }
}

/** Runs one process until it dies. Returns the disk at that moment. */
async function live(partitions: Partitions, disk: MemoryFileSystem, random: Random) {
  for (let step = 10 + Math.floor(random.next() * 60); step > 0; step--) {
    partitions.step(disk);
    for (let turns = Math.floor(random.next() * 8); turns > 0; turns--) await turn();
  }
  const image = random.next() < 0.4 ? disk.kill(random) : disk.crash(random);
  // Whatever the dead process learns from its disk after this did not happen.
  const known = partitions.known.map((each) => ({ ...each, durable: new Map(each.durable) }));
  await partitions.abandon();
  partitions.known = known;
  return image;
}

/** Opens the disk, and dies on the way. Returns the disk at that moment. */
async function dieOpening(partitions: Partitions, disk: MemoryFileSystem, random: Random) {
  let left = Math.floor(random.next() * 60);
  const isKill = random.next() < 0.5;
  let image: MemoryFileSystem | undefined;
  disk.onOperation = () => {
    if (left-- === 0) image = isKill ? disk.kill(random) : disk.crash(random);
  };
  await partitions.open(disk);
  await partitions.check();
  await partitions.abandon();
  disk.onOperation = undefined;
  return image ?? disk.kill(random);
}

/** Runs partitions that share a journal through a few processes. Returns how many died. */
export async function simulateJournal(seed: number): Promise<number> {
  const random = seededRandom(seed);
  const partitions = new Partitions(random);
  let disk = new MemoryFileSystem({ random: seededRandom(seed + 7) });
  for (const partition of partitions.known.keys()) await disk.makeDirectory(directoryOf(partition));
  await disk.syncDirectory('/data');
  await disk.syncDirectory('/');
  let crashes = 0;
  for (let life = 0; life < LIVES; life++) {
    await partitions.open(disk);
    await partitions.check();
    disk = await live(partitions, disk, random);
    const deaths = Math.floor(random.next() * 3);
    for (let count = 0; count < deaths; count++) {
      disk = await dieOpening(partitions, disk, random);
    }
    crashes += 1 + deaths;
  }
  return crashes;
}
