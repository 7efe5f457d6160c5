import {
  openLog,
  seededRandom,
  silentLogger,
  type AnyTopic,
  type ConsumerRecord,
  type Log,
} from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { ConnectError } from '../errors.ts';

/** What was tried. */
export interface Trials {
  /** The steps at which the connector crashed, one a trial, in the order of a whole run. */
  readonly steps: readonly string[];
}

/** The end of a process: nothing behind it happens. Thrown, since a process cannot end twice. */
class Crash {
  readonly step: string;

  constructor(step: string) {
    this.step = step;
  }
}

/** A log on a disk in memory, which outlives it. */
export class TrialLog {
  #disk: MemoryFileSystem;
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
    this.#disk = new MemoryFileSystem({ random: seededRandom(seed) });
  }

  /** Opens the log as the last process left it, and closes it behind `use`. */
  async open<T>(use: (log: Log) => Promise<T>): Promise<T> {
    const log = await openLog('/trial', {
      ...{ fileSystem: this.#disk, random: seededRandom(this.#seed), logger: silentLogger },
    });
    try {
      return await use(log);
    } finally {
      await log.close().catch(() => undefined); // it may have crashed
    }
  }

  /** What kill -9 would leave of the disk now. */
  snapshot(): MemoryFileSystem {
    return this.#disk.kill();
  }

  /** Goes on with what such a snapshot has. */
  restore(disk: MemoryFileSystem): void {
    this.#disk = disk;
  }
}

/** Counts steps and crashes at one of them. */
export class CrashPlan {
  readonly steps: string[] = [];
  readonly #at: number;
  readonly #onCrash: () => void;

  /** @param at the index of the step; Infinity for none. */
  constructor(at: number, onCrash: () => void) {
    this.#at = at;
    this.#onCrash = onCrash;
  }

  /** For `onStep`. */
  readonly reach = (step: string): void => {
    this.steps.push(step);
    if (this.steps.length - 1 < this.#at) return;
    // After the crash every step fails: what runs on is no longer there.
    if (this.steps.length - 1 === this.#at) this.#onCrash();
    throw new Crash(step) as unknown as Error;
  };

  /** The step of the crash; undefined if the run ended before it. */
  get crashedAt(): string | undefined {
    return this.steps[this.#at];
  }
}

/** Reads all committed records of topics, in order by partition. */
export async function readAll(
  log: Log,
  topics: readonly AnyTopic[],
): Promise<readonly ConsumerRecord[]> {
  const records: ConsumerRecord[] = [];
  for (const topic of topics) {
    const ends = await log.admin().offsets(topic.name);
    const consumer = log.consumer({ isolationLevel: 'read_committed' });
    try {
      const parts = ends.map(({ partition }) => ({ topic, partition }));
      const reader = await consumer.assign(parts);
      const isBehind = (): boolean =>
        ends.some(({ partition, latest }) => {
          return (reader.position({ topic: topic.name, partition }) ?? latest) < latest;
        });
      while (isBehind()) records.push(...(await reader.poll({ maxWaitMs: 5 })));
    } finally {
      await consumer.close();
    }
  }
  return records;
}

/** How often each text is there. */
export function countsOf(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
}

/** What differs from what is expected, in words; undefined if nothing does. */
export function difference(
  expected: ReadonlyMap<string, number>,
  actual: ReadonlyMap<string, number>,
  mayRepeat: boolean,
): string | undefined {
  const missing: string[] = [];
  const repeated: string[] = [];
  for (const [text, count] of expected) {
    const found = actual.get(text) ?? 0;
    if (found < count) missing.push(text);
    if (found > count && !mayRepeat) repeated.push(text);
  }
  const foreign = [...actual.keys()].filter((text) => !expected.has(text));
  const parts = [
    ...(missing.length === 0 ? [] : [`missing: ${some(missing)}`]),
    ...(repeated.length === 0 ? [] : [`there more than once: ${some(repeated)}`]),
    ...(foreign.length === 0 ? [] : [`not expected: ${some(foreign)}`]),
  ];
  return parts.length === 0 ? undefined : parts.join('; ');
}

/** TRIAL_FAILED. */
export function trialFailed(connector: string, step: string, problem: string): ConnectError {
  const message = `${connector}, after ${step}: ${problem}`;
  return new ConnectError('TRIAL_FAILED', message, { connector, step, problem });
}

function some(texts: readonly string[]): string {
  const shown = texts.slice(0, 3).join(', ');
  return texts.length <= 3 ? shown : `${shown} and ${texts.length - 3} more`;
}
