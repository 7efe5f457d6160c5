import type { BatchHeader } from '../../record/batch.ts';
import type { MarkerType } from '../../record/control.ts';
import type { AbortedTransaction } from '../segment/transaction-index.ts';

/** A transaction whose marker has not been read yet. */
interface Ongoing {
  readonly transaction: AbortedTransaction;
  /** One of its batches was read. */
  hasData: boolean;
}

/** The fate of a marker. */
export interface MarkerFate {
  /** No batch of its transaction is left: it may go once its retention is over. */
  readonly isUnneeded: boolean;
  /** The `.txnindex` entry to keep, because readers may still meet the data. */
  readonly aborted?: AbortedTransaction | undefined;
}

/**
 * Follows the transactions of a log from its start, batch by batch, and decides how compaction
 * treats each batch (Kafka: `CleanedTransactionMetadata`).
 */
export class CleanedTransactions {
  /** By first offset; those from `#next` on have not begun yet. */
  readonly #aborted: readonly AbortedTransaction[];
  #next = 0;
  readonly #ongoingAborted = new Map<number, Ongoing>();
  readonly #ongoingCommitted = new Set<number>();

  /** @param aborted all aborted transactions with data in the segments to read. */
  constructor(aborted: readonly AbortedTransaction[]) {
    this.#aborted = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  }

  /** Records a data batch. Returns true if it belongs to an aborted transaction. */
  isAborted({ isTransactional, producerId, lastOffset }: BatchHeader): boolean {
    this.#beginUpTo(lastOffset);
    if (!isTransactional) return false;
    const ongoing = this.#ongoingAborted.get(producerId);
    if (ongoing === undefined) this.#ongoingCommitted.add(producerId);
    else ongoing.hasData = true;
    return ongoing !== undefined;
  }

  /** Records a marker; `type` is undefined for control records that end no transaction. */
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
