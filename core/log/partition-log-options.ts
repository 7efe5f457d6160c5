import type { Clock } from '../clock.ts';
import type { LoadOptions } from './load/load-segment.ts';
import type { SyncJournal } from './durability/sync-journal.ts';

/** What `PartitionLog.open` gets. */
export interface PartitionLogOptions extends Omit<LoadOptions, 'nowMs' | 'isOwn'> {
  readonly clock: Clock;
  /** Everything below was compacted (`cleaner-offset-checkpoint`); default 0. */
  readonly cleanedOffset?: number;
  /** The data directory's, which syncs many partitions at once; else each is synced itself. */
  readonly journal?: { readonly journal: SyncJournal; readonly topicId: string };
  /** Called whenever more can be read: new batches, an ended transaction, deleted records. */
  readonly advanced: () => void;
}

/** Where an appended batch stands. */
export interface Appended {
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** Resolves when the operating system has the batch; shared by the batches of one write. */
  readonly written: Promise<void>;
}
