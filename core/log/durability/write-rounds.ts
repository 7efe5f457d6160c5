import type { LogError } from '../../errors.ts';
import type { BatchHeader } from '../../record/batch.ts';
import type { Segment } from '../segment/segment.ts';

/** Batches that one write brings to the disk: they succeed or fail together. */
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
    // Whoever cares waits on `done` itself; a round that nobody waits on must not end the process.
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

/** What waits to be written, in order: while one round is written, the next one gathers. */
export class WriteRounds {
  /** The last one takes what comes. */
  #waiting: Round[] = [];
  /** The one that was taken out to be written. */
  #current: Round | undefined;

  /** Adds a batch. The promise is shared by its round. */
  add(segment: Segment, bytes: Buffer, header: BatchHeader): Promise<void> {
    let round = this.#waiting.at(-1);
    if (round?.segment !== segment) {
      round = new Round(segment);
      this.#waiting.push(round);
    }
    round.add(bytes, header);
    return round.done;
  }

  /** Takes the next one out; undefined when none waits. */
  next(): Round | undefined {
    this.#current = this.#waiting.shift();
    return this.#current;
  }

  /** The one that was taken out is written, or failed with `error`. */
  end(error?: LogError): void {
    const round = this.#current;
    this.#current = undefined;
    if (error === undefined) round?.resolve();
    else round?.reject(error);
  }

  /** The first that reaches `offset`. */
  find(offset: number): Round | undefined {
    const reaches = ({ nextOffset }: Round) => nextOffset >= offset;
    const current = this.#current;
    return current !== undefined && reaches(current) ? current : this.#waiting.find(reaches);
  }

  /** Gives up those that wait: they build on offsets that will not be. */
  rejectWaiting(error: LogError): void {
    for (const round of this.#waiting.splice(0)) round.reject(error);
  }
}
