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
  /** True once it is dead: what its clients see from then on does not count. */
  readonly isOver: () => boolean;
}

/** What one client of a life needs. */
export interface Stage {
  readonly world: World;
  readonly life: Life;
  /** A name that no other client of the run has. */
  readonly name: string;
  readonly random: Random;
  /** True when the client should end. */
  readonly isDone: () => boolean;
}

/** A longer wait means a hang: the longest wait of a client is two minutes. */
const HANGS_AFTER_MS = 15 * 60_000;

/** Returns a random integer below a limit. */
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
 * Advances `clock` in steps until `done` settles; returns its outcome.
 * @param options.passed is called at each step.
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
  settled.catch(() => undefined); // its caller gets the error
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

/** What outlives the processes: the disk, the time, and what clients know. */
export class World {
  readonly random: Random;
  readonly notes = new Notes();
  readonly models = new Models();
  /** Codes that clients met, and how often. */
  readonly codes = new Map<string, number>();
  /** Failures that no client may meet. The run fails with the first one. */
  readonly failures: unknown[] = [];
  crashCount = 0;
  /** True from an injected fault until the next life: storage errors are then expected. */
  isFaulty = false;
  /** The worst ending since the log was last compared with what clients know. */
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

  /** Separate randomness, so that leftover work of a dead process cannot change what follows. */
  fork(): Random {
    return seededRandom(below(this.random, 0x7fff_ffff));
  }

  /** Notes a failure; only expected ones with a code are allowed. */
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

  /** Whether an injected fault caused an error. */
  isExcused(error: unknown): boolean {
    return this.isFaulty && error instanceof LogError && STORAGE.has(error.code);
  }

  /** Like `pump`, with the time of this world. */
  pump<T>(clock: ManualClock, done: Promise<T>, stepMs?: number): Promise<T> {
    return pump(clock, done, { stepMs, passed: (nowMs) => (this.#nowMs = nowMs) });
  }

  advance(clock: ManualClock, ms: number): void {
    clock.advance(ms);
    this.#nowMs = clock.nowMs();
  }

  /**
   * Opens the log in a new process. Returns undefined if a crash or a fault ends the opening; the
   * next opening finds what it left.
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
      // Leftover work of the dead process ends soon.
      disk.fail({ at: () => true, code: 'EIO', times: Infinity });
    }
    this.isFaulty = false;
  }
}

/** A life that may end at any disk operation. */
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

  /** Makes it end after this many more disk operations. */
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

/** Codes that clients may get from a failing disk. */
const STORAGE: ReadonlySet<LogErrorCode> = new Set<LogErrorCode>([
  'DIRECTORY_UNUSABLE',
  'DISK_FULL',
  'KAFKA_STORAGE_ERROR',
  'MARKERS_WAIT_FOR_ROOM',
]);

/** Codes that clients may get at any time. */
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
