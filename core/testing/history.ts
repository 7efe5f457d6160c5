/** A record as a client saw it: sent, with its offset where that is known, or read. */
export interface Seen {
  readonly topic: string;
  readonly partition: number;
  /** Absent for what was sent and not acknowledged, or by transaction. */
  readonly offset?: number;
  /** Tells the record from all others of the history. */
  readonly value: string;
}

/** What a client did, in the order in which it did it. */
export type Step =
  | { readonly kind: 'send'; readonly record: Seen }
  | { readonly kind: 'poll'; readonly record: Seen };

/**
 * What came of an operation. `ok`: acknowledged, or committed. `failed`: certainly without effect.
 * `unknown`: nobody was told, as when the process was killed.
 */
export type Outcome = 'ok' | 'failed' | 'unknown';

/** One thing that a client did: a transaction, or some sends and polls outside of any. */
export interface Operation {
  /** Who did it. A process does one thing after the other. */
  readonly process: string;
  readonly isTransaction: boolean;
  /** True when the process began somewhere anew: gaps and repeats before its polls mean nothing. */
  readonly isRepositioned: boolean;
  readonly steps: readonly Step[];
  readonly outcome: Outcome;
  /** Moments, counted up over all processes. */
  readonly begunAt: number;
  /** When the commit was asked for; undefined when it never was. */
  readonly commitAt?: number;
  /** Undefined while nobody knows that it ended. */
  readonly endedAt?: number;
}

/** An operation that is under way. */
export interface OpenOperation {
  /** Notes what it has sent. */
  sent(record: Seen): void;
  /** Notes what it has read. */
  polled(record: Seen): void;
  /** To be called before the commit of a transaction is asked for. */
  committing(): void;
  /** The end as the process was told it. An operation that is never ended stays `unknown`. */
  end(outcome: Outcome): void;
}

/**
 * Writes down what clients did and saw, for `checkHistory`. What a process tells of itself has to
 * arrive here in the order in which it did it, and before it is killed: by a pipe, for instance.
 */
export class History {
  readonly #operations: Recorded[] = [];
  readonly #repositioned = new Set<string>();
  #moment = 0;

  get operations(): readonly Operation[] {
    return this.#operations;
  }

  /** Begins an operation of a process. */
  begin(process: string, options: { readonly isTransaction?: boolean } = {}): OpenOperation {
    const operation: Recorded = {
      process,
      isTransaction: options.isTransaction ?? false,
      isRepositioned: this.#repositioned.delete(process),
      steps: [],
      outcome: 'unknown',
      begunAt: this.#moment++,
    };
    this.#operations.push(operation);
    return {
      sent: (record) => void operation.steps.push({ kind: 'send', record }),
      polled: (record) => void operation.steps.push({ kind: 'poll', record }),
      committing: () => {
        operation.commitAt = this.#moment++;
      },
      end: (outcome) => {
        operation.outcome = outcome;
        operation.endedAt = this.#moment++;
      },
    };
  }

  /** The process reads on from somewhere else: it was assigned partitions, or has sought. */
  repositioned(process: string): void {
    this.#repositioned.add(process);
  }

  /**
   * Takes out what was read and is gone: readers see what the operating system has, and a power cut
   * may take what was not yet durable.
   */
  forgetPolls(isGone: (record: Seen) => boolean): void {
    for (const operation of this.#operations) {
      operation.steps = operation.steps.filter(({ kind, record }) => {
        return kind !== 'poll' || !isGone(record);
      });
    }
  }
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };
interface Recorded extends Writable<Operation> {
  steps: Step[];
}
