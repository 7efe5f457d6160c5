import type { LogError } from '../../errors.ts';
import type { BatchHeader } from '../../record/batch.ts';
import type { Segment } from '../segment/segment.ts';

/** Batches in one write: they succeed or fail together. */
export class Round {
  readonly segment: Segment;
  readonly batches: Buffer[] = [];
  /** The offset after the last batch. */
  #nextOffset = -1;
  #isTransactional = false;
  readonly done: Promise<void>;
  resolve!: () => void;
  reject!: (error: LogError) => void;

  constructor(segment: Segment) {
    this.segment = segment;
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Callers that care await `done` itself; a failed round that nobody awaits must not end the
    // process.
    this.done.catch(() => undefined);
  }

  get nextOffset(): number {
    return this.#nextOffset;
  }

  /** A commit will have to sync it. */
  get isTransactional(): boolean {
    return this.#isTransactional;
  }

  add(bytes: Buffer, { lastOffset, isTransactional }: BatchHeader): void {
    this.batches.push(bytes);
    this.#nextOffset = lastOffset + 1;
    this.#isTransactional ||= isTransactional;
  }
}

/** Queues batches to write, in order: while one round is written, the next one gathers. */
export class WriteRounds {
  /** The last one takes new batches. */
  #waiting: Round[] = [];
  /** The round taken out to be written. */
  #current: Round | undefined;

  /** Adds a batch. All batches of its round share the promise. */
  add(segment: Segment, bytes: Buffer, header: BatchHeader): Promise<void> {
    let round = this.#waiting.at(-1);
    if (round?.segment !== segment) {
      round = new Round(segment);
      this.#waiting.push(round);
    }
    round.add(bytes, header);
    return round.done;
  }

  /** Takes the next round out; undefined if none waits. */
  next(): Round | undefined {
    this.#current = this.#waiting.shift();
    return this.#current;
  }

  /** Ends the round that was taken out: it is written, or failed with `error`. */
  end(error?: LogError): void {
    const round = this.#current;
    this.#current = undefined;
    if (error === undefined) round?.resolve();
    else round?.reject(error);
  }

  /** The first round that reaches `offset`. */
  find(offset: number): Round | undefined {
    const reaches = ({ nextOffset }: Round) => nextOffset >= offset;
    const current = this.#current;
    return current !== undefined && reaches(current) ? current : this.#waiting.find(reaches);
  }

  /** Fails the waiting rounds: they build on offsets that will never exist. */
  rejectWaiting(error: LogError): void {
    for (const round of this.#waiting.splice(0)) round.reject(error);
  }
}
