import { LogError } from '../errors.ts';
import { addSequence, NO_SEQUENCE, type BatchHeader } from '../record/batch.ts';
import type { MarkerType } from '../record/control.ts';
import type { RecordPlace } from '../record/unpack.ts';
import type { AbortedTransaction } from './segment/transaction-index.ts';

/** Batches remembered per producer, to recognise a repeat (Kafka: `ProducerStateEntry`). */
const BATCHES_RETAINED = 5;
/**
 * The number remembered while they are not durable. Kafka's clients have five batches in flight,
 * ours five requests of up to 100 (`core/client/producer/accumulator.ts`). If a write in the middle
 * of them fails, and the disk has no room to reload the log, the producer resends all of them, even
 * those that are in the log.
 */
const UNSYNCED_RETAINED = 512;
const NO_OFFSET = -1;

/** Kafka's `producer.id.expiration.ms`. */
const PRODUCER_EXPIRATION_MS = 24 * 3600 * 1000;

/** One batch of a producer as it was appended. */
export interface ProducerBatch {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
}

/** The state of one producer id in a partition. Changes with each of its batches and markers. */
export interface ProducerState {
  readonly producerId: number;
  epoch: number;
  /**
   * The newest batches of this epoch, oldest first: five, or more while they are not durable; empty
   * after a marker.
   */
  batches: ProducerBatch[];
  /** The first offset of its open transaction, or -1. */
  transactionFirstOffset: number;
  coordinatorEpoch: number;
  /**
   * Time of its last append, by the broker's clock. Kafka uses the newest record's timestamp
   * instead, which would expire the producer of historical data at once.
   */
  lastAppendMs: number;
}

/** A transaction whose marker is in the log but may not be readable yet. */
interface EndedTransaction {
  readonly firstOffset: number;
  readonly markerOffset: number;
}

/**
 * The producers of one partition: their next sequences, batches that they may repeat, open
 * transactions, and the last stable offset (Kafka: `ProducerStateManager`, `ProducerAppendInfo`).
 * Runs ahead of the disk: covers all admitted batches.
 */
export class ProducerStates {
  readonly #place: RecordPlace;
  readonly #states = new Map<number, ProducerState>();
  /**
   * Open transactions: producer id to first offset. Small, so each search for the minimum is cheap.
   */
  readonly #open = new Map<number, number>();
  /** Ended, but the marker is above the high watermark: `settle` removes them. */
  #ended: EndedTransaction[] = [];

  constructor(place: RecordPlace) {
    this.#place = place;
  }

  get(producerId: number): ProducerState | undefined {
    return this.#states.get(producerId);
  }

  all(): IterableIterator<ProducerState> {
    return this.#states.values();
  }

  /** Adopts a state from a snapshot. */
  restore(state: ProducerState): void {
    this.#states.set(state.producerId, state);
    if (state.transactionFirstOffset !== NO_OFFSET) {
      this.#open.set(state.producerId, state.transactionFirstOffset);
    }
  }

  /**
   * Checks a batch of a producer with an id before it gets an offset. Returns the batch that it
   * repeats, or undefined for a new one.
   *
   * @throws LogError INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_TXN_STATE:
   *   nothing changed.
   */
  check(header: BatchHeader): ProducerBatch | undefined {
    const state = this.#states.get(header.producerId);
    if (state === undefined) return undefined; // forgotten or new: any sequence may start it
    if (header.producerEpoch < state.epoch) throw this.#fenced(header, state);
    const expected = expectedSequence(header, state);
    if (header.baseSequence !== expected) {
      const duplicate = repeatedBy(header, state);
      if (duplicate !== undefined) return duplicate;
      throw this.#outOfOrder(header, expected);
    }
    if (!header.isTransactional && state.transactionFirstOffset !== NO_OFFSET) {
      const message =
        `producer ${header.producerId} wrote outside its open transaction to ` +
        `${this.#place.topic}-${this.#place.partition}`;
      const reason = 'a write outside the open transaction';
      throw new LogError('INVALID_TXN_STATE', message, {
        transactionalId: '',
        state: 'Ongoing',
        reason,
      });
    }
    return undefined;
  }

  /**
   * Records a data batch that passed `check` and now has its offsets.
   *
   * @param durableOffset producers never resend batches that the log holds below it.
   */
  append(header: BatchHeader, nowMs: number, durableOffset = 0): void {
    const state = this.#stateFor(header.producerId, header.producerEpoch);
    if (header.producerEpoch !== state.epoch) {
      state.epoch = header.producerEpoch;
      state.batches = [];
    }
    if (header.baseSequence !== NO_SEQUENCE) {
      const { baseSequence: firstSequence, lastSequence, baseOffset, lastOffset } = header;
      state.batches.push({ firstSequence, lastSequence, baseOffset, lastOffset });
      forgetOldest(state.batches, durableOffset);
    }
    state.lastAppendMs = nowMs;
    if (header.isTransactional && state.transactionFirstOffset === NO_OFFSET) {
      state.transactionFirstOffset = header.baseOffset;
      this.#open.set(header.producerId, header.baseOffset);
    }
  }

  /**
   * Records a marker that now has its offset. Returns the aborted transaction for the index if it
   * aborted one that had data here.
   *
   * @throws LogError INVALID_PRODUCER_EPOCH for a marker older than the producer's epoch.
   */
  end(
    header: BatchHeader,
    type: MarkerType,
    coordinatorEpoch: number,
    nowMs: number,
  ): AbortedTransaction | undefined {
    const state = this.#stateFor(header.producerId, header.producerEpoch);
    if (header.producerEpoch < state.epoch) throw this.#fenced(header, state);
    if (header.producerEpoch > state.epoch) {
      state.epoch = header.producerEpoch;
      state.batches = [];
    }
    state.coordinatorEpoch = coordinatorEpoch;
    state.lastAppendMs = nowMs;
    const firstOffset = state.transactionFirstOffset;
    if (firstOffset === NO_OFFSET) return undefined;
    state.transactionFirstOffset = NO_OFFSET;
    this.#open.delete(header.producerId);
    this.#ended.push({ firstOffset, markerOffset: header.baseOffset });
    if (type === 'COMMIT') return undefined;
    const lastStableOffset = this.#firstOpenOffset() ?? header.baseOffset + 1;
    const { producerId, baseOffset: lastOffset } = header;
    return { producerId, firstOffset, lastOffset, lastStableOffset };
  }

  /**
   * Below this offset, readers that see the log up to `highWatermark` know every transaction's
   * outcome.
   */
  lastStableOffset(highWatermark: number): number {
    let stable = Math.min(highWatermark, this.#firstOpenOffset() ?? highWatermark);
    for (const { firstOffset, markerOffset } of this.#ended) {
      // A marker below it is readable; a log that was just opened has many of those.
      if (markerOffset >= highWatermark) stable = Math.min(stable, firstOffset);
    }
    return stable;
  }

  /** Forgets ended transactions whose marker lies below `highWatermark`. */
  settle(highWatermark: number): void {
    if (this.#ended.length === 0) return;
    this.#ended = this.#ended.filter(({ markerOffset }) => markerOffset >= highWatermark);
  }

  /** The open transactions: producer ids and first offsets. */
  openTransactions(): ReadonlyMap<number, number> {
    return this.#open;
  }

  /** Forgets producers without an open transaction that have written nothing for a day. */
  expire(nowMs: number): void {
    const beforeMs = nowMs - PRODUCER_EXPIRATION_MS;
    for (const state of this.#states.values()) {
      if (state.lastAppendMs < beforeMs && state.transactionFirstOffset === NO_OFFSET) {
        this.#states.delete(state.producerId);
      }
    }
  }

  #stateFor(producerId: number, epoch: number): ProducerState {
    let state = this.#states.get(producerId);
    if (state === undefined) {
      state = {
        producerId,
        epoch,
        batches: [],
        transactionFirstOffset: NO_OFFSET,
        coordinatorEpoch: -1,
        lastAppendMs: 0,
      };
      this.#states.set(producerId, state);
    }
    return state;
  }

  #firstOpenOffset(): number | undefined {
    let first: number | undefined;
    for (const offset of this.#open.values()) {
      if (first === undefined || offset < first) first = offset;
    }
    return first;
  }

  #outOfOrder(header: BatchHeader, expected: number): LogError {
    const { topic, partition } = this.#place;
    const { producerId, baseSequence: sequence } = header;
    return new LogError(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      `producer ${producerId} sent sequence ${sequence} to ${topic}-${partition}, ` +
        `expected ${expected}`,
      { topic, partition, producerId, sequence, expectedSequence: expected },
    );
  }

  #fenced(header: BatchHeader, state: ProducerState): LogError {
    const { topic, partition } = this.#place;
    const { producerId, producerEpoch: epoch } = header;
    return new LogError(
      'INVALID_PRODUCER_EPOCH',
      `producer ${producerId} with epoch ${epoch} was replaced: ` +
        `${topic}-${partition} knows epoch ${state.epoch}`,
      { producerId, epoch, currentEpoch: state.epoch, topic, partition },
    );
  }
}

function expectedSequence(header: BatchHeader, state: ProducerState): number {
  const last = state.batches.at(-1);
  const isNewEpoch = header.producerEpoch > state.epoch;
  // After a marker that raised the epoch there is no sequence: the next batch starts at 0 too.
  return isNewEpoch || last === undefined ? 0 : addSequence(last.lastSequence, 1);
}

/** The earlier batch that this one repeats. */
function repeatedBy(header: BatchHeader, state: ProducerState): ProducerBatch | undefined {
  if (header.producerEpoch !== state.epoch) return undefined;
  return state.batches.find(
    (batch) =>
      batch.firstSequence === header.baseSequence && batch.lastSequence === header.lastSequence,
  );
}

function forgetOldest(batches: ProducerBatch[], durableOffset: number): void {
  while (batches.length > BATCHES_RETAINED) {
    const isNeeded = batches[0]!.lastOffset >= durableOffset;
    if (isNeeded && batches.length <= UNSYNCED_RETAINED) return;
    batches.shift();
  }
}
