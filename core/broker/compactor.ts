import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Partition } from './partitions.ts';
import type { Topics } from './topics.ts';

/**
 * Kafka's `log.cleaner.dedupe.buffer.size`: memory for the keys of one pass, taken as they come. A
 * log with more of them takes several passes.
 */
const DEDUPE_BUFFER_BYTES = 128 * 1024 * 1024;

/** Compacts logs in the background, one at a time (Kafka: `LogCleanerManager`). */
export class Compactor {
  readonly #topics: Topics;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #stopped = new AbortController();

  constructor(topics: Topics, clock: Clock, logger: Logger) {
    this.#topics = topics;
    this.#clock = clock;
    this.#logger = logger;
  }

  /**
   * Compacts every log for which it is time, the dirtiest first. Which ones that are is looked up
   * again after each. A log that cannot be compacted is reported, and left to the next turn, unless
   * it is damaged: then it is left alone from now on.
   */
  async compactDue(): Promise<void> {
    const failed = new Set<Partition>();
    while (!this.#stopped.signal.aborted) {
      const partition = await this.#dirtiest(failed);
      if (partition === undefined) break;
      const isDone = await this.#compact(partition);
      if (!isDone) failed.add(partition);
    }
    const { checkpoints } = this.#topics;
    await checkpoints.writeCleaned(() => this.#topics.partitions());
  }

  /** Makes `compactDue` return soon; the next process repeats unfinished work. */
  stop(): void {
    this.#stopped.abort(new LogError('CLOSED', 'the log is closed', { what: 'the log' }));
  }

  async #dirtiest(failed: ReadonlySet<Partition>): Promise<Partition | undefined> {
    let [found, dirtyRatio]: [Partition | undefined, number] = [undefined, -1];
    for (const partition of this.#topics.partitions()) {
      if (failed.has(partition)) continue;
      const upTo = this.#topics.checkpoints.recoveryPointOf(partition);
      const cleanable = await partition.log.compaction.measure(upTo).catch((error: unknown) => {
        this.#report(partition, error);
        return undefined;
      });
      if (cleanable?.isDue !== true || cleanable.dirtyRatio <= dirtyRatio) continue;
      [found, dirtyRatio] = [partition, cleanable.dirtyRatio];
    }
    return found;
  }

  /** True when something came of it. */
  async #compact(partition: Partition): Promise<boolean> {
    const { topic, partition: number, log } = partition;
    const startMs = this.#clock.monotonicMs();
    try {
      const done = await log.compaction.run({
        // What an opening would read again stays as it is: the markers that it needs are there.
        upTo: this.#topics.checkpoints.recoveryPointOf(partition),
        dedupeBufferBytes: DEDUPE_BUFFER_BYTES,
        signal: this.#stopped.signal,
      });
      if (done === undefined) return false;
      const { passes, readBytes, writtenBytes, cleanedOffset } = done;
      const tookMs = Math.round(this.#clock.monotonicMs() - startMs);
      this.#logger.debug(
        `compacted ${topic}-${number} up to offset ${cleanedOffset}: ${readBytes} bytes became ` +
          `${writtenBytes}, in ${tookMs} ms and ${passes} ${passes === 1 ? 'pass' : 'passes'}`,
      );
      return true;
    } catch (error) {
      this.#report(partition, error);
      return false;
    }
  }

  #report({ topic, partition, log }: Partition, error: unknown): void {
    if (LogError.is(error, 'CLOSED')) return; // stopped, or the topic was deleted
    const reason = error instanceof Error ? error.message : String(error);
    if (log.compaction.isGivenUp) {
      this.#logger.warn(
        `${topic}-${partition} is not compacted any more until it is opened again: ${reason}`,
      );
    } else {
      this.#logger.error(`${topic}-${partition} could not be compacted now: ${reason}`);
    }
  }
}
