/** A record as a client saw it: sent, with its offset where that is known, or read. */
export interface Seen {
  readonly topic: string;
  readonly partition: number;
  /** Absent for what was sent and not acknowledged, or by transaction. */
  readonly offset?: number;
  /** Tells the record from all others of the history. */
  readonly value: string;
}

/** The steps of a client, in the order in which it took them. */
export type Step =
  | { readonly kind: 'send'; readonly record: Seen }
  | { readonly kind: 'poll'; readonly record: Seen };

/**
 * How an operation ended. `ok`: acknowledged or committed. `failed`: certainly without effect.
 * `unknown`: the process never learned the outcome, for example because it was killed.
 */
export type Outcome = 'ok' | 'failed' | 'unknown';

/** One operation of a client: a transaction, or sends and polls outside of one. */
export interface Operation {
  /** The process that did it. A process runs one operation at a time. */
  readonly process: string;
  readonly isTransaction: boolean;
  /** True if the process changed its position: gaps and repeats before its polls mean nothing. */
  readonly isRepositioned: boolean;
  readonly steps: readonly Step[];
  readonly outcome: Outcome;
  /** A counter shared by all processes, so that it orders their operations. */
  readonly begunAt: number;
  /** When the commit was requested; undefined if it never was. */
  readonly commitAt?: number;
  /** When it ended; undefined as long as its outcome is unknown. */
  readonly endedAt?: number;
}

/** An operation that is under way. */
export interface OpenOperation {
  /** Records what it sent. */
  sent(record: Seen): void;
  /** Records what it read. */
  polled(record: Seen): void;
  /** Call it before you request the commit of a transaction. */
  committing(): void;
  /** Ends the operation as the process saw it. One that never ends stays `unknown`. */
  end(outcome: Outcome): void;
}

/**
 * Records what clients did and saw, for `checkHistory`. The reports of a process must arrive in the
 * order of its steps and before it is killed, for example through a pipe.
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

  /** The process reads from another position now: it was assigned partitions, or it sought. */
  repositioned(process: string): void {
    this.#repositioned.add(process);
  }

  /**
   * Removes reads of records that are gone: readers see what the operating system has, and a power
   * cut may take what was not yet durable.
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
