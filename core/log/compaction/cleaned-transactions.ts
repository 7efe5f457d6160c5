import type { BatchHeader } from '../../record/batch.ts';
import type { MarkerType } from '../../record/control.ts';
import type { AbortedTransaction } from '../segment/transaction-index.ts';

/** A transaction whose marker is still to come. */
interface Ongoing {
  readonly transaction: AbortedTransaction;
  /** A batch of it has been seen. */
  hasData: boolean;
}

/** What is to become of a marker. */
export interface MarkerFate {
  /** No batch of its transaction is left: it may go when its time is over. */
  readonly isUnneeded: boolean;
  /** The entry of `.txnindex` that is still needed, because readers may meet the data. */
  readonly aborted?: AbortedTransaction | undefined;
}

/**
 * Follows the transactions of a log from its start on, batch by batch, and says what each batch
 * means to compaction (Kafka: `CleanedTransactionMetadata`).
 */
export class CleanedTransactions {
  /** By first offset; those behind `#next` have not begun yet. */
  readonly #aborted: readonly AbortedTransaction[];
  #next = 0;
  readonly #ongoingAborted = new Map<number, Ongoing>();
  readonly #ongoingCommitted = new Set<number>();

  /** @param aborted all aborted transactions with data in what is read. */
  constructor(aborted: readonly AbortedTransaction[]) {
    this.#aborted = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  }

  /** Takes note of a batch of data; true when it belongs to an aborted transaction. */
  isAborted({ isTransactional, producerId, lastOffset }: BatchHeader): boolean {
    this.#beginUpTo(lastOffset);
    if (!isTransactional) return false;
    const ongoing = this.#ongoingAborted.get(producerId);
    if (ongoing === undefined) this.#ongoingCommitted.add(producerId);
    else ongoing.hasData = true;
    return ongoing !== undefined;
  }

  /** Takes note of a marker; `type` is undefined for control records that end no transaction. */
  endedBy({ producerId, lastOffset }: BatchHeader, type: MarkerType | undefined): MarkerFate {
    this.#beginUpTo(lastOffset);
    if (type === undefined) return { isUnneeded: false };
    if (type === 'COMMIT') return { isUnneeded: !this.#ongoingCommitted.delete(producerId) };
    const ongoing = this.#ongoingAborted.get(producerId);
    this.#ongoingAborted.delete(producerId);
    if (ongoing?.hasData !== true) return { isUnneeded: true };
    return { isUnneeded: false, aborted: ongoing.transaction };
  }

  #beginUpTo(offset: number): void {
    while (this.#next < this.#aborted.length) {
      const transaction = this.#aborted[this.#next]!;
      if (transaction.firstOffset > offset) return;
      this.#ongoingAborted.set(transaction.producerId, { transaction, hasData: false });
      this.#next++;
    }
  }
}
