import { LogError } from '../errors.ts';
import type { ProducerState } from '../log/producer-states.ts';
import { ProducerStates } from '../log/producer-states.ts';
import type { AbortedTransaction } from '../log/segment/transaction-index.ts';
import { NO_SEQUENCE, type BatchHeader } from '../record/batch.ts';
import { coordinatorEpochAt, markerTypeAt } from '../record/control.ts';
import type { RecordCursor } from '../record/record-cursor.ts';
import type { RecordPlace } from '../record/unpack.ts';

export interface ProducerCheckOptions {
  readonly place: RecordPlace;
  /** Compaction removes batches from the middle: then sequences have gaps. */
  readonly isCompacted: boolean;
  readonly nowMs: number;
}

/**
 * Follows the producers of a partition batch by batch, as an opening does, and reports sequences
 * and transactions that make no sense. Compares snapshots and the lists of aborted transactions
 * with the log.
 */
export class ProducerCheck {
  readonly #options: ProducerCheckOptions;
  #states: ProducerStates;
  /** By the offset of the marker. Grows with each abort. */
  readonly aborted = new Map<number, AbortedTransaction>();
  /** ABORT markers of transactions whose records are gone: the offset, and the producer. */
  readonly lateAborts = new Map<number, number>();
  /** The known part of the log starts here: everything before is gone or lost. */
  #knownFrom: number;
  #highestId = -1;

  constructor(options: ProducerCheckOptions, firstOffset: number) {
    this.#options = options;
    this.#states = new ProducerStates(options.place);
    this.#knownFrom = firstOffset;
  }

  /** The highest producer id so far, or -1. */
  get highestId(): number {
    return this.#highestId;
  }

  /** Every producer's history is known from here on. */
  get knownFrom(): number {
    return this.#knownFrom;
  }

  epochOf(producerId: number): number {
    return this.#states.get(producerId)?.epoch ?? 0;
  }

  /** Skips lost records up to `nextOffset`: the producers' batches there are unknown. */
  forget(nextOffset: number): void {
    this.#states = new ProducerStates(this.#options.place);
    this.#knownFrom = nextOffset;
  }

  /** Checks a data batch. Returns its fault. */
  data(header: BatchHeader): string | undefined {
    this.#highestId = Math.max(this.#highestId, header.producerId);
    const fault = this.#faultOf(header);
    this.#states.append(header, this.#options.nowMs);
    return fault;
  }

  /** Checks a control batch whose record is at `cursor`. */
  marker(cursor: RecordCursor): void {
    const { header } = cursor;
    const { producerId, producerEpoch, baseOffset } = header;
    const type = markerTypeAt(cursor);
    this.#highestId = Math.max(this.#highestId, producerId);
    // A late marker of a fenced producer ends nothing; Kafka's logs may hold one.
    if (type === undefined || producerEpoch < (this.#states.get(producerId)?.epoch ?? 0)) return;
    const { nowMs } = this.#options;
    const aborted = this.#states.end(header, type, coordinatorEpochAt(cursor), nowMs);
    this.#states.settle(baseOffset + 1);
    if (aborted !== undefined) this.aborted.set(baseOffset, aborted);
    else if (type === 'ABORT') this.lateAborts.set(baseOffset, producerId);
  }

  /** The difference between a snapshot taken here and the log, or undefined. */
  compare(snapshot: readonly ProducerState[]): string | undefined {
    const kept = new Map(snapshot.map((state) => [state.producerId, state]));
    for (const [producerId, firstOffset] of this.#states.openTransactions()) {
      if (kept.has(producerId)) continue;
      return `it lacks producer ${producerId}, whose transaction is open since ${firstOffset}`;
    }
    for (const entry of snapshot) {
      const found = this.#states.get(entry.producerId);
      const fault =
        found === undefined ? this.#faultOfUnknown(entry) : this.#difference(entry, found);
      if (fault !== undefined) return `of producer ${entry.producerId} it has ${fault}`;
    }
    return undefined;
  }

  #faultOfUnknown({ batches }: ProducerState): string | undefined {
    const last = batches.at(-1);
    // It may have written before the log's first record; later batches would be in the log.
    if (last === undefined || last.lastOffset < this.#knownFrom) return undefined;
    return this.#options.isCompacted ? undefined : `offset ${last.lastOffset}, the log nothing`;
  }

  #faultOf(header: BatchHeader): string | undefined {
    const state = this.#states.get(header.producerId);
    if (header.baseSequence === NO_SEQUENCE || state === undefined) return undefined;
    if (this.#options.isCompacted) return undefined;
    // Its batches may be gone, with only a marker left: then any sequence is allowed.
    if (state.batches.length === 0 && header.producerEpoch === state.epoch) return undefined;
    try {
      const repeated = this.#states.check(header);
      if (repeated === undefined) return undefined;
      return `producer ${header.producerId} repeats the batch at offset ${repeated.baseOffset}`;
    } catch (cause) {
      if (!(cause instanceof LogError)) throw cause;
      return cause.message;
    }
  }

  #difference(entry: ProducerState, found: ProducerState): string | undefined {
    const [kept, last] = [entry.batches.at(-1), found.batches.at(-1)];
    const since = entry.transactionFirstOffset;
    const isWithin = (offset: number): boolean => offset < 0 || offset >= this.#knownFrom;
    // The log does not show batches before its first record, or those compacted away.
    const isTold = !this.#options.isCompacted && isWithin(kept?.lastOffset ?? -1);
    const pairs = [
      ['epoch', entry.epoch, found.epoch, !this.#options.isCompacted || entry.epoch < found.epoch],
      ['last sequence', kept?.lastSequence ?? -1, last?.lastSequence ?? -1, isTold],
      ['last offset', kept?.lastOffset ?? -1, last?.lastOffset ?? -1, isTold],
      ['open transaction', since, found.transactionFirstOffset, isTold && isWithin(since)],
    ] as const;
    const different = pairs.find(([, inFile, inLog, mayTell]) => mayTell && inFile !== inLog);
    if (different === undefined) return undefined;
    const [name, inFile, inLog] = different;
    return `${name} ${inFile}, the log ${inLog}`;
  }
}
