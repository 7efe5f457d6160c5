import type { Clock, Timer } from '../clock.ts';
import { asError, LogError } from '../errors.ts';
import { Interruption } from '../interruption.ts';
import type { Logger } from '../logger.ts';
import type { PartitionLog } from '../log/partition-log.ts';
import type { MarkerType } from '../record/control.ts';
import type { OffsetStore } from './offset-store.ts';
import { appendMarker } from './transaction-recovery.ts';
import type { Topics } from './topics.ts';
import { markerOf, type Transaction, type WrittenMarker } from './transaction.ts';

export interface TransactionMarkersOptions {
  readonly topics: Topics;
  readonly offsets: OffsetStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between two tries to write a marker while the disk is full. */
const RETRY_MS = 500;
/** How long a caller waits for a full disk: longer than a log rotation takes to free some space. */
const WAIT_MS = 5_000;

/**
 * Writes the markers of decided transactions. On a full disk they wait for room as long as it
 * takes, because the decision stands; callers wait no longer than `WAIT_MS` for that.
 */
export class TransactionMarkers {
  readonly #options: TransactionMarkersOptions;
  /** Only between opening and closing do markers wait for room. */
  #phase: 'opening' | 'open' | 'closing' = 'opening';
  /** Ends the pauses between two tries. */
  readonly #interruption = new Interruption();

  constructor(options: TransactionMarkersOptions) {
    this.#options = options;
  }

  /** From now on a full disk is waited for; before, it fails the opening. */
  open(): void {
    this.#phase = 'open';
  }

  /** Ends all waits for room: the next opening writes the markers that are missing. */
  stop(): void {
    this.#phase = 'closing';
    this.#interruption.interrupt();
  }

  /**
   * Writes the markers that a decided transaction lacks, and returns those of this call.
   *
   * @throws LogError KAFKA_STORAGE_ERROR; DISK_FULL while the log opens; CLOSED when it is closed
   *   while the markers wait for room. Some markers may be there.
   */
  async write(transaction: Transaction, type: MarkerType): Promise<WrittenMarker[]> {
    const markers: WrittenMarker[] = [];
    const writes = this.partitionsOf(transaction).map(async ({ log }) => {
      const offset = await this.#writeOne(log, transaction, type);
      if (offset !== undefined) markers.push({ log, offset });
    });
    const results = await Promise.allSettled(writes);
    const failed = results.find((result) => result.status === 'rejected');
    this.#reportEnd(transaction, failed && asError(failed.reason));
    if (failed !== undefined) throw failed.reason;
    return markers;
  }

  /**
   * Answers as `change` does, or with `late` once the markers of the transaction have waited too
   * long for room. The change itself continues.
   */
  answerInTime<R>(
    transaction: Transaction,
    change: Promise<R>,
    late: (transaction: Transaction) => LogError,
  ): Promise<R> {
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined;
      const startTimer = (): void => {
        timer ??= this.#options.clock.setTimer(WAIT_MS, () => reject(late(transaction)));
      };
      if (transaction.lacksRoom) startTimer();
      transaction.callers.add(startTimer);
      const leave = (): void => {
        timer?.cancel();
        transaction.callers.delete(startTimer);
      };
      const settle =
        <T>(answer: (outcome: T) => void) =>
        (outcome: T) => {
          leave();
          answer(outcome);
        };
      change.then(settle(resolve), settle(reject));
    });
  }

  /** The partitions that take part; a topic that was deleted meanwhile has nothing left to end. */
  partitionsOf(transaction: Transaction): { readonly log: PartitionLog }[] {
    const { topics } = this.#options;
    const found: { readonly log: PartitionLog }[] = [];
    for (const { topic, partition } of transaction.partitions.values()) {
      const known = topics.find(topic)?.partitions[partition];
      if (known !== undefined) found.push(known);
    }
    return found;
  }

  /** True when nothing but a second crash of the disk can take the markers of the last end. */
  areDurable(transaction: Transaction): boolean {
    if (transaction.markers.length === 0) return true;
    transaction.markers = transaction.markers.filter(
      ({ log, offset }) => this.#isOpen(log) && log.durableOffset < offset,
    );
    return transaction.markers.length === 0;
  }

  /** Makes the markers of the last end durable. */
  async sync(transaction: Transaction): Promise<void> {
    if (this.areDurable(transaction)) return;
    await Promise.all(transaction.markers.map(({ log, offset }) => log.sync(offset)));
  }

  /**
   * Writes the marker that ends the transaction in one partition, unless it is there already.
   * Returns the offset after it; undefined when the partition is gone.
   */
  async #writeOne(
    log: PartitionLog,
    transaction: Transaction,
    type: MarkerType,
  ): Promise<number | undefined> {
    const { clock, offsets } = this.#options;
    const { producerId, producerEpoch, raisesEpoch } = transaction;
    const marker = markerOf(transaction, type, clock.nowMs());
    for (;;) {
      try {
        // Another marker would end the next transaction, whose data may be all that follows the
        // first one: a power cut can take its beginning from the coordinator alone.
        if (raisesEpoch && log.hasProducerAt(producerId, producerEpoch)) return log.nextOffset;
        return await appendMarker(log, marker, offsets);
      } catch (error) {
        if (LogError.is(error, 'CLOSED') && !this.#isOpen(log)) return undefined;
        if (!LogError.is(error, 'DISK_FULL') || this.#phase === 'opening') throw error;
        if (this.#phase === 'closing') throw unfinished(transaction, error);
        this.#reportStart(transaction, log);
        await this.#interruption.waitUpTo(RETRY_MS, clock);
      }
    }
  }

  /** Reports that markers wait for room, once; from now on callers wait no longer than WAIT_MS. */
  #reportStart(transaction: Transaction, log: PartitionLog): void {
    if (transaction.lacksRoom) return;
    transaction.lacksRoom = true;
    const { topic, partition } = log.place;
    this.#options.logger.error(
      `the transaction of ${transaction.transactionalId} is ${outcomeOf(transaction)}, but the ` +
        `disk is full: its markers wait for room, that of ${topic}-${partition} first; until ` +
        'then read_committed stops before it',
    );
    for (const startTimer of transaction.callers) startTimer();
  }

  #reportEnd(transaction: Transaction, failure: Error | undefined): void {
    if (!transaction.lacksRoom) return;
    transaction.lacksRoom = false;
    const { transactionalId } = transaction;
    this.#options.logger.warn(
      failure === undefined
        ? `the transaction of ${transactionalId} has all its markers now`
        : `the transaction of ${transactionalId} still lacks markers: ${String(failure)}`,
    );
  }

  #isOpen(log: PartitionLog): boolean {
    const { topic, partition } = log.place;
    return this.#options.topics.find(topic)?.partitions[partition]?.log === log;
  }
}

/** MARKERS_WAIT_FOR_ROOM: the transaction is decided, and its markers do not fit on the disk. */
export function waitsForRoom(transaction: Transaction): LogError {
  const { transactionalId, state } = transaction;
  const message =
    `the transaction of ${transactionalId} is ${outcomeOf(transaction)} for good, but the disk ` +
    'is full: read_committed shows it once its markers fit; free some space, then repeat the call';
  return new LogError('MARKERS_WAIT_FOR_ROOM', message, { transactionalId, state });
}

function outcomeOf({ state }: Transaction): string {
  return state === 'PrepareCommit' ? 'committed' : 'aborted';
}

/** CLOSED while a decided transaction waits for room on the disk. */
function unfinished({ transactionalId, state }: Transaction, cause: unknown): LogError {
  const message =
    `the log is closed, and the transaction of ${transactionalId} (${state}) still waits for ` +
    'room on the disk; the next opening finishes it';
  return new LogError('CLOSED', message, { what: 'the log' }, { cause });
}
