import {
  expectAll,
  expectAtMost,
  expectEqual,
  expectOneOf,
  expectSame,
} from '../../test/kit/quick-expect.ts';
import { LogError } from '../errors.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { seededRandom, type Random } from '../random.ts';
import { batchSizeBytes, readBatchHeader } from '../record/batch.ts';
import { recordsOf } from '../record/records.suite.ts';
import type { MemoryFileSystem } from '../storage/memory-fs.ts';
import type { Fault } from '../storage/memory-operations.ts';
import type { LogConfig } from './log-config.ts';
import { LogHost, readBatches, spansOf } from './log-host.suite.ts';

export const DIRECTORY = '/data/test-0';

/** A batch that was passed to the log. */
interface Attempt {
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** Its content, unique to the attempt. */
  readonly content: string;
  /** Undefined while unknown. */
  isWritten?: boolean;
}

/** The promises of a log up to some moment: the content required after a crash at that moment. */
export interface Promised {
  /** Contents of synced batches, by base offset. */
  readonly durable: ReadonlyMap<number, string>;
  /** Contents of written batches, by base offset. */
  readonly written: ReadonlyMap<number, string>;
  /** Records below may have been deleted. */
  readonly deletedUpTo: number;
}

/** One step of a script. Errors of the log are recorded; any other error ends the test. */
export type Step = (run: Run) => Promise<void> | void;

export interface Script {
  readonly name: string;
  readonly config: Partial<LogConfig>;
  /** True if some steps make the disk fail. */
  readonly isFaulty?: boolean;
  /** True if syncs use a journal. */
  readonly hasJournal?: boolean;
  readonly steps: readonly Step[];
}

/** A log under a script, and its promises. */
export class Run {
  /** Undefined if an opening failed. */
  host: LogHost | undefined;
  readonly random: Random;
  readonly clock = new ManualClock();
  /** Codes of the errors that the log returned. */
  readonly codes: string[] = [];
  readonly #fileSystem: MemoryFileSystem;
  readonly #script: Script;
  readonly #attempts: Attempt[] = [];
  readonly #durable = new Map<number, string>();
  readonly #underway: Promise<void>[] = [];
  #deletedUpTo = 0;
  #count = 0;

  constructor(fileSystem: MemoryFileSystem, script: Script, seed: number) {
    this.#fileSystem = fileSystem;
    this.#script = script;
    this.random = seededRandom(seed);
  }

  /** Runs the whole script, whatever fails on the way. */
  async play(): Promise<void> {
    await this.open();
    for (const step of this.#script.steps) await this.attempt(async () => step(this));
    await Promise.all(this.#underway);
  }

  promised(): Promised {
    const written = new Map<number, string>();
    for (const { baseOffset, content, isWritten } of this.#attempts) {
      if (isWritten === true) written.set(baseOffset, content);
    }
    const deletedUpTo = this.#deletedUpTo;
    return { durable: new Map(this.#durable), written, deletedUpTo };
  }

  /** Every batch that may be in the log. */
  get attempts(): readonly Attempt[] {
    return this.#attempts;
  }

  get log() {
    if (this.host === undefined) throw new LogError('CLOSED', 'not open', { what: 'test' });
    return this.host.log;
  }

  /** Awaits something that may fail with an error of the log. */
  async attempt(call: () => Promise<unknown>): Promise<void> {
    try {
      await call();
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      this.codes.push(error.code);
    }
  }

  /** Starts something without waiting for it. */
  start(call: () => Promise<unknown>): void {
    this.#underway.push(this.attempt(call));
  }

  open(): Promise<void> {
    return this.attempt(async () => {
      this.host = undefined;
      const { config, hasJournal = false } = this.#script;
      this.host = await LogHost.open({
        fileSystem: this.#fileSystem,
        directory: DIRECTORY,
        clock: this.clock,
        config,
        hasJournal,
      });
    });
  }

  async reopen(): Promise<void> {
    const { host } = this;
    if (host !== undefined) await this.attempt(() => host.close());
    await this.open();
  }

  /** Appends a batch of `count` records; if asked, as a producer's next and in a transaction. */
  append(count = 1, producer?: { producerId: number; isTransactional?: boolean }): Attempt {
    const id = this.#count++;
    const values = Array.from({ length: count }, (_, index) => {
      return `${id}.${index} `.repeat(1 + Math.floor(this.random.next() * 60));
    });
    const timestampMs = 1000 + Math.floor(this.random.next() * 1000);
    const records = values.map((value) => ({ value, timestampMs }));
    const seal =
      producer === undefined
        ? {}
        : { ...producer, producerEpoch: 0, baseSequence: this.#nextSequence(producer.producerId) };
    if (this.host === undefined) throw new LogError('CLOSED', 'not open', { what: 'test' });
    const { baseOffset, lastOffset, written } = this.host.append(records, seal);
    return this.#note({ baseOffset, lastOffset, content: values.join() }, written);
  }

  end(producerId: number, type: 'COMMIT' | 'ABORT'): Attempt {
    const timestampMs = 1_700_000_000_000;
    const marker = { type, producerId, producerEpoch: 0, coordinatorEpoch: 1, timestampMs };
    const { baseOffset, lastOffset, written } = this.log.appendMarker(marker);
    return this.#note({ baseOffset, lastOffset, content: `${type} ${producerId}` }, written);
  }

  /** Waits until all appended batches are written. */
  async written(): Promise<void> {
    while (this.#attempts.some(({ isWritten }) => isWritten === undefined)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Makes later disk operations fail. */
  fail(fault: Fault): void {
    this.#fileSystem.fail(fault);
  }

  /** Waits until a failed log continues, or has given up. */
  async settled(): Promise<void> {
    for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  async sync(): Promise<void> {
    const covered = this.#attempts.filter(({ isWritten }) => isWritten !== false);
    const end = this.log.nextOffset;
    await this.log.sync(end);
    for (const { baseOffset, content, isWritten } of covered) {
      if (isWritten !== false && baseOffset < end) this.#durable.set(baseOffset, content);
    }
  }

  async checkpoint(): Promise<void> {
    await this.host?.checkpoint();
  }

  async deleteRecords(offset: number): Promise<void> {
    const upTo = Math.min(offset, this.log.highWatermark);
    this.#deletedUpTo = Math.max(this.#deletedUpTo, upTo);
    await this.host?.deleteRecords(upTo);
  }

  async applyRetention(): Promise<void> {
    this.#deletedUpTo = Math.max(this.#deletedUpTo, this.log.nextOffset); // it may delete all
    await this.host?.applyRetention();
    if (this.codes.length === 0) this.#deletedUpTo = this.log.logStartOffset;
  }

  #nextSequence(producerId: number): number {
    const last = this.log.producers.get(producerId)?.batches.at(-1)?.lastSequence;
    return last === undefined ? 0 : last + 1;
  }

  #note(attempt: Attempt, written: Promise<void>): Attempt {
    this.#attempts.push(attempt);
    this.#underway.push(
      written.then(
        () => void (attempt.isWritten = true),
        (error: unknown) => {
          attempt.isWritten = false;
          if (!(error instanceof LogError)) throw error;
          this.codes.push(error.code);
        },
      ),
    );
    return attempt;
  }
}

/** The facts that a check needs besides the file system. */
export interface Expectation {
  readonly script: Script;
  readonly promised: Promised;
  readonly attempts: readonly Attempt[];
  /** True after a kill: then everything written is there. */
  readonly isKill: boolean;
}

/**
 * Opens the log after a crash, and expects: all promised batches are there; the rest is a prefix of
 * the appended ones, without gaps or additions; recovery gives the same result as a rebuild from
 * the log alone; the log continues, and reopens unchanged.
 */
export async function checkRecovered(
  image: MemoryFileSystem,
  expected: Expectation,
): Promise<void> {
  const { script } = expected;
  const { config, hasJournal = false } = script;
  const options = { fileSystem: image, directory: DIRECTORY, config, hasJournal };
  const copy = image.kill();
  let host = await LogHost.open(options);
  await checkContent(host, expected);
  await checkState(host, copy);
  await checkFiles(host);

  const { nextOffset } = host.log;
  for (const { producerId, batches, transactionFirstOffset } of [...host.log.producers.all()]) {
    const baseSequence = (batches.at(-1)?.lastSequence ?? -1) + 1;
    const isTransactional = transactionFirstOffset >= 0;
    const seal = { producerId, producerEpoch: 0, baseSequence, isTransactional };
    host.append([{ value: `next of ${producerId}` }], seal);
  }
  const appended = host.append([{ value: 'next' }]);
  expectAtMost(nextOffset, appended.baseOffset);
  await host.log.sync();
  expectSame(host.log.durableOffset, host.log.nextOffset);
  const [batches, state] = [await readBatches(host.log), stateOf(host)];
  host = await host.closeAndOpen();
  expectSame((await readBatches(host.log)).equals(batches), true);
  expectEqual(stateOf(host), state);
  await host.close();
  expectSame(image.openFileCount, 0);
}

async function checkContent(host: LogHost, expected: Expectation): Promise<void> {
  const { log } = host;
  const { promised, isKill, attempts } = expected;
  const bytes = await readBatches(log);
  const spans = spansOf(bytes);
  let next = spans[0]?.[0] ?? log.logStartOffset;
  expectAtMost(next, log.logStartOffset);
  expectAtMost(log.logStartOffset, promised.deletedUpTo);
  for (const [first, last] of spans) {
    expectSame(first, next);
    next = last + 1;
  }
  expectSame(next, log.nextOffset);
  const contents = contentsOf(bytes);
  for (const [baseOffset, content] of contents) {
    const known = attempts.filter((attempt) => attempt.baseOffset === baseOffset);
    expectOneOf(
      content,
      known.map((attempt) => attempt.content),
    );
  }
  for (const [baseOffset, content] of isKill ? promised.written : promised.durable) {
    if (baseOffset < log.logStartOffset) continue;
    expectSame(contents.get(baseOffset), content, `at offset ${baseOffset}`);
  }
}

/** The contents of batches, as `Attempt.content`, by base offset. */
function contentsOf(bytes: Buffer): Map<number, string> {
  const contents = new Map<number, string>();
  for (let at = 0; at < bytes.length; at += batchSizeBytes(bytes, at)) {
    const { baseOffset, sizeBytes, isControl, producerId } = readBatchHeader(bytes, at);
    const batch = bytes.subarray(at, at + sizeBytes);
    const values = recordsOf(batch).map(({ value }) => value);
    const type = batch.readInt16BE(61 + 7) === 0 ? 'ABORT' : 'COMMIT';
    contents.set(baseOffset, isControl ? `${type} ${producerId}` : values.join());
  }
  return contents;
}

/** Expects only files of a log in its directory. */
async function checkFiles(host: LogHost): Promise<void> {
  const names = await host.fileNames();
  const allowed =
    /^(\d{20}\.(log|index|timeindex|txnindex|snapshot)(\.deleted)?|leader-epoch-checkpoint)$/;
  expectEqual(
    names.filter((name) => !allowed.test(name)),
    [],
  );
}

/** The state of producers and transactions. */
function stateOf({ log }: LogHost) {
  return {
    producers: [...log.producers.all()]
      .map((state) => ({ ...state, lastAppendMs: 0, batches: state.batches.slice(-1) }))
      .sort((a, b) => a.producerId - b.producerId),
    aborted: log.abortedTransactions(log.logStartOffset, Infinity),
    lastStableOffset: log.lastStableOffset,
    logStartOffset: log.logStartOffset,
    nextOffset: log.nextOffset,
  };
}

type State = ReturnType<typeof stateOf>;

/** The part of a state that does not depend on batches before `base`. */
function knownFrom(base: number, state: State): unknown {
  const producers = state.producers.filter(({ batches }) => (batches[0]?.baseOffset ?? -1) >= base);
  return {
    nextOffset: state.nextOffset,
    producers: producers.map(({ transactionFirstOffset, ...producer }) => ({
      ...producer,
      isOpen: transactionFirstOffset >= 0,
    })),
  };
}

/** The markers of aborted transactions that have data from `base` on. */
function abortsFrom(base: number, state: State): number[] {
  return state.aborted
    .filter(({ firstOffset }) => firstOffset >= base)
    .map(({ lastOffset }) => lastOffset);
}

/** Compares a log with an opening that has nothing but the segments. */
async function checkState(host: LogHost, image: MemoryFileSystem): Promise<void> {
  const state = stateOf(host);
  await image.makeDirectory(DIRECTORY);
  const names = (await image.list(DIRECTORY)).map(({ name }) => name);
  const segments = names.filter((name) => /\.log(\.swap)?$/.test(name));
  for (const name of names) {
    if (!segments.includes(name)) await image.remove(`${DIRECTORY}/${name}`);
  }
  if (segments.length === 0) {
    expectSame(state.nextOffset, state.logStartOffset); // all was deleted: nothing else is known
    return;
  }
  await image.remove('/data/checkpoints').catch(() => undefined);
  const bare = await LogHost.open({ fileSystem: image, directory: DIRECTORY });
  const base = (await bare.segmentBases())[0] ?? 0;
  await bare.log.deleteRecords(Math.min(state.logStartOffset, bare.log.highWatermark));
  const rebuilt = stateOf(bare);
  await bare.abandon();
  if (base === 0) {
    expectEqual(state, { ...rebuilt, logStartOffset: state.logStartOffset });
  } else if (rebuilt.nextOffset >= state.logStartOffset) {
    expectEqual(knownFrom(base, state), knownFrom(base, rebuilt));
    expectAll(abortsFrom(0, state), abortsFrom(0, rebuilt));
    expectAll(abortsFrom(0, rebuilt), abortsFrom(base, state));
  }
}
