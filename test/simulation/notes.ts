import { LogError } from '../../core/index.ts';
import { copies } from './topics.ts';
import { History, type OpenOperation, type Outcome } from '../../core/testing/index.ts';

/** A record whose offset is filled in when it is known. */
export interface Noted {
  readonly topic: string;
  readonly partition: number;
  readonly value: string;
  offset?: number;
}

/** The codecs that producers choose from. */
export const CODECS_OF_PRODUCERS = ['none', 'none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

export type Isolation = 'read_committed' | 'read_uncommitted';

export interface NoteOptions {
  readonly isTransaction?: boolean;
  /** The reader's isolation level; default: read_committed. */
  readonly isolation?: Isolation;
}

/**
 * What clients did and saw, in two histories. All sends are in both, polls in that of their
 * isolation level, because one level may see what the other may not.
 */
export class Notes {
  readonly committed = new History();
  readonly uncommitted = new History();

  /** Begins an operation; once `isOver` returns true its process is dead, and it notes nothing. */
  begin(process: string, isOver: () => boolean, options: NoteOptions = {}): OpenOperation {
    const { isolation = 'read_committed', isTransaction = false } = options;
    const operations = {
      read_committed: this.committed.begin(process, { isTransaction }),
      read_uncommitted: this.uncommitted.begin(process, { isTransaction }),
    };
    const each = (note: (operation: OpenOperation) => void): void => {
      if (!isOver()) Object.values(operations).forEach(note);
    };
    return {
      sent: (record) => {
        if (isOver()) return;
        operations.read_committed.sent(record);
        // An aborted copy is repeated with the same value, which is unique only among the
        // committed.
        if (record.topic !== copies.name) operations.read_uncommitted.sent(record);
      },
      polled: (record) => {
        if (!isOver()) operations[isolation].polled(record);
      },
      committing: () => each((operation) => operation.committing()),
      end: (outcome) => each((operation) => operation.end(outcome)),
    };
  }

  repositioned(process: string): void {
    this.committed.repositioned(process);
    this.uncommitted.repositioned(process);
  }
}

/**
 * Codes after which a record is certainly not in the log: it was refused. After other codes it is
 * unknown.
 */
const REFUSED: ReadonlySet<string> = new Set([
  'INVALID_PARTITIONS',
  'INVALID_PRODUCER_EPOCH',
  'PRODUCER_FENCED',
  'UNKNOWN_TOPIC_OR_PARTITION',
]);

/** The outcome of a failed send or commit. */
export function outcomeOf(error: unknown): Outcome {
  return error instanceof LogError && REFUSED.has(error.code) ? 'failed' : 'unknown';
}
