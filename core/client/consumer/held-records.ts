import type { TopicPartition } from '../../protocol/broker-api.ts';
import type { Fetched, Position } from './fetcher.ts';
import type { PartitionRecords } from './partition-records.ts';

/** What is being handed out of one fetch of a partition. */
interface Held<R> extends Fetched {
  /** The record that `next` moved to. */
  record: R | undefined;
  /** Set when nothing more of it can be handed out. */
  failure: Error | undefined;
}

/** What a consumer has fetched and is handing out, oldest first. Paused partitions keep theirs. */
export class HeldRecords<R extends { readonly offset: number }> {
  #batches: Held<R>[] = [];
  readonly #make: (records: PartitionRecords) => R;

  /** @param make makes the record on which a cursor stands. */
  constructor(make: (records: PartitionRecords) => R) {
    this.#make = make;
  }

  /** True when there is something of a partition that is not paused. */
  hasAny(): boolean {
    return this.#batches.some(({ position }) => !position.isPaused);
  }

  add(fetched: Fetched): void {
    this.#batches.push({ ...fetched, record: undefined, failure: undefined });
  }

  /** Forgets what is held of a partition. */
  drop({ topic, partition }: TopicPartition): void {
    this.#batches = this.#batches.filter(
      ({ position }) => position.partition !== partition || position.topic !== topic,
    );
  }

  /** Gives away all that is not paused, and moves the positions behind it. */
  takeAll(): Fetched[] {
    const taken = this.#batches.filter(({ position }) => !position.isPaused);
    this.#batches = this.#batches.filter(({ position }) => position.isPaused);
    for (const { position, records } of taken) position.offset = records.endOffset;
    return taken;
  }

  /**
   * Moves to the next record and returns it with its position; undefined when there is none. A
   * record that cannot be read is an error each time; with `mayWait` only from the next call on.
   */
  next(mayWait: boolean): { readonly position: Position; readonly record: R } | undefined {
    for (;;) {
      const [first] = this.#batches;
      const held =
        first?.position.isPaused === false
          ? first
          : this.#batches.find(({ position }) => !position.isPaused);
      if (held === undefined) return undefined;
      try {
        if (held.failure !== undefined) throw held.failure;
        if (held.records.next()) {
          const record = this.#make(held.records);
          held.record = record;
          return held as typeof held & { readonly record: R };
        }
      } catch (error) {
        // The cursor is lost: every later call gets the same error.
        held.failure = error as Error;
        if (mayWait) return undefined;
        throw error;
      }
      held.position.offset = held.records.endOffset;
      this.#batches.splice(this.#batches.indexOf(held), 1);
    }
  }
}
