import {
  LogError,
  openLog,
  seededRandom,
  silentLogger,
  type Log,
  type LogErrorCode,
  type Random,
} from '../../core/index.ts';
import { ManualClock, MemoryFileSystem } from '../../core/testing/index.ts';
import { Models, type Ending } from './models.ts';
import { Notes } from './notes.ts';

export const DIRECTORY = '/data';

/** One process, from the opening of the log to its end. */
export interface Life {
  readonly number: number;
  readonly clock: ManualClock;
  readonly log: Log;
  /** True when it is dead: what its clients see from then on does not count. */
  readonly isOver: () => boolean;
}

/** What one client of a life needs. */
export interface Stage {
  readonly world: World;
  readonly life: Life;
  /** Tells the client from all others of the run. */
  readonly name: string;
  readonly random: Random;
  /** True when it is time to go. */
  readonly isDone: () => boolean;
}

/** More of it and something hangs: the longest wait of a client is two minutes. */
const HANGS_AFTER_MS = 15 * 60_000;

/** Number of whole values below a limit, from chance. */
export function below(random: Random, limit: number): number {
  return Math.floor(random.next() * limit);
}

export function pick<T>(random: Random, values: readonly T[]): T {
  return values[below(random, values.length)]!;
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/**
 * Lets time pass on `clock`, in steps, until `done` is settled; returns what came of it.
 *
 * @param options.passed is told of each step.
 */
export async function pump<T>(
  clock: ManualClock,
  done: Promise<T>,
  options: { readonly stepMs?: number | undefined; passed?: (nowMs: number) => void } = {},
): Promise<T> {
  const { stepMs = 5, passed } = options;
  const state = { isSettled: false };
  const settled = done.finally(() => {
    state.isSettled = true;
  });
  settled.catch(() => undefined); // its caller has the error
  const endMs = clock.nowMs() + HANGS_AFTER_MS;
  while (!state.isSettled) {
    await nextTurn();
    await nextTurn();
    clock.advance(stepMs);
    passed?.(clock.nowMs());
    if (clock.nowMs() > endMs) throw new Error(`nothing came of it in ${HANGS_AFTER_MS} ms`);
  }
  return settled;
}

/** What outlives the processes: the disk, the time, and what is known from outside. */
export class World {
  readonly random: Random;
  readonly notes = new Notes();
  readonly models = new Models();
  /** Codes that clients met, and how often. */
  readonly codes = new Map<string, number>();
  /** What no client may meet. The run fails with the first one. */
  readonly failures: unknown[] = [];
  crashCount = 0;
  /** True from an injected fault on, until the next life: storage errors are no surprise. */
  isFaulty = false;
  /** The worst that has come since what is there was held against what is known. */
  worstEnding: Ending = 'close';
  disk: MemoryFileSystem;
  #nowMs = 1_700_000_000_000;
  #lifeCount = 0;
  #valueCount = 0;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    const clock = { nowMs: () => this.#nowMs };
    this.disk = new MemoryFileSystem({ random: this.fork(), clock });
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** A value that no other record has. */
  newValue(name: string): string {
    return `${name}#${this.#valueCount++}`;
  }

  /** Chance of its own, so that what a dead process still does cannot change what follows. */
  fork(): Random {
    return seededRandom(below(this.random, 0x7fff_ffff));
  }

  /** Notes a failure; only coded ones that clients are told of are fine. */
  met(error: unknown, isOver: boolean): void {
    if (isOver) return;
    if (!(error instanceof LogError)) {
      this.failures.push(error);
      return;
    }
    const { code } = error;
    this.codes.set(code, (this.codes.get(code) ?? 0) + 1);
    if (!EXPECTED.has(code) && !this.isExcused(error)) this.failures.push(error);
  }

  /** Whether an error comes of a fault that was planted. */
  isExcused(error: unknown): boolean {
    return this.isFaulty && error instanceof LogError && STORAGE.has(error.code);
  }

  /** As `pump`, on the time of this world. */
  pump<T>(clock: ManualClock, done: Promise<T>, stepMs?: number): Promise<T> {
    return pump(clock, done, { stepMs, passed: (nowMs) => (this.#nowMs = nowMs) });
  }

  advance(clock: ManualClock, ms: number): void {
    clock.advance(ms);
    this.#nowMs = clock.nowMs();
  }

  /**
   * Opens the log in a new process. The opening may be crashed, and faults may fail it: undefined
   * then, and the next opening finds what it has left.
   */
  async open(crashIn?: {
    readonly operations: number;
    readonly ending: Ending;
  }): Promise<OpenLife> {
    const clock = new ManualClock(this.#nowMs);
    const life = new OpenLife(this, this.#lifeCount++, clock, this.disk);
    if (crashIn !== undefined) life.crashAfter(crashIn.operations, crashIn.ending);
    const options = { fileSystem: this.disk, clock, random: this.fork(), logger: silentLogger };
    const opening = openLog(DIRECTORY, options).then(
      (log) => {
        life.begin(log);
      },
      (error: unknown) => this.met(error, life.isOver()),
    );
    await this.pump(clock, Promise.race([opening, life.over]));
    return life;
  }

  /** The disk as the end of a process leaves it. */
  succeed(disk: MemoryFileSystem, ending: Ending): void {
    disk.onOperation = undefined;
    if (this.worstEnding !== 'power cut' && ending !== 'close') this.worstEnding = ending;
    if (ending !== 'close') {
      this.crashCount++;
      const random = this.fork();
      this.disk = ending === 'kill' ? disk.kill(random) : disk.crash(random);
      this.disk.capacityBytes = Infinity;
      // What the dead process still tries is soon over.
      disk.fail({ at: () => true, code: 'EIO', times: Infinity });
    }
    this.isFaulty = false;
  }
}

/** A life that may end at any operation of the disk. */
export class OpenLife implements Life {
  readonly number: number;
  readonly clock: ManualClock;
  /** Resolves when it is over. */
  readonly over: Promise<void>;
  ending: Ending | undefined;
  readonly #world: World;
  readonly #disk: MemoryFileSystem;
  #log: Log | undefined;
  #end: () => void = () => undefined;

  constructor(world: World, number: number, clock: ManualClock, disk: MemoryFileSystem) {
    this.#world = world;
    this.number = number;
    this.clock = clock;
    this.#disk = disk;
    this.over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  readonly isOver = (): boolean => this.ending !== undefined;

  /** True when the log was opened. */
  get hasBegun(): boolean {
    return this.#log !== undefined;
  }

  get log(): Log {
    if (this.#log === undefined) throw new TypeError('the log of this life was never opened');
    return this.#log;
  }

  begin(log: Log): void {
    this.#log = log;
  }

  /** Has it end behind the so-many-th operation of the disk from now. */
  crashAfter(operations: number, ending: Ending): void {
    const last = this.#disk.operationCount + operations;
    this.#disk.onOperation = ({ number }) => {
      if (number >= last) this.crash(ending);
    };
  }

  /** Ends it right now. */
  crash(ending: Ending): void {
    if (this.ending !== undefined) return;
    this.ending = ending;
    this.#world.succeed(this.#disk, ending);
    this.#end();
  }
}

/** What a disk that fails has clients told. */
const STORAGE: ReadonlySet<LogErrorCode> = new Set<LogErrorCode>([
  'DIRECTORY_UNUSABLE',
  'DISK_FULL',
  'KAFKA_STORAGE_ERROR',
]);

/** What clients may meet at any time. */
const EXPECTED: ReadonlySet<LogErrorCode> = new Set<LogErrorCode>([
  'ABORTED',
  'CLOSED',
  'CONCURRENT_TRANSACTIONS',
  'DELIVERY_TIMEOUT',
  'ILLEGAL_GENERATION',
  'INVALID_PARTITIONS',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_TXN_STATE',
  'PRODUCER_FENCED',
  'REBALANCE_IN_PROGRESS',
  'UNKNOWN_MEMBER_ID',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNSTABLE_OFFSET_COMMIT',
]);
