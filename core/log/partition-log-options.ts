import type { Clock } from '../clock.ts';
import type { LoadOptions } from './load/load-segment.ts';
import type { SyncJournal } from './durability/sync-journal.ts';

/** The arguments of `PartitionLog.open`. */
export interface PartitionLogOptions extends Omit<LoadOptions, 'nowMs' | 'isOwn'> {
  readonly clock: Clock;
  /** Everything below was compacted (`cleaner-offset-checkpoint`); default 0. */
  readonly cleanedOffset?: number;
  /**
   * The data directory's, which syncs many partitions at once; default: each is synced directly.
   */
  readonly journal?: { readonly journal: SyncJournal; readonly topicId: string };
  /** Called whenever more can be read: new batches, an ended transaction, deleted records. */
  readonly advanced: () => void;
}

/** The offsets of an appended batch. */
export interface Appended {
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** Resolves once the operating system has the batch; the batches of one write share it. */
  readonly written: Promise<void>;
}
