import type { Segment } from '../segment/segment.ts';
import type { JournalEntry } from './journal-frame.ts';
import { UnsyncedBytes } from './unsynced-bytes.ts';
import type { Round } from './write-rounds.ts';

/**
 * After so much that a commit will have to sync, the syncing begins: a commit then waits for what
 * was written last, not for all that the transaction has written.
 */
const SYNC_AHEAD_BYTES = 1024 * 1024;

/** What no sync has covered yet. */
export class Unsynced {
  /** Segments with such bytes. */
  readonly #segments = new Set<Segment>();
  /** Segments whose names may not be durable: their directory is synced with them. */
  readonly #unnamed = new Set<Segment>();
  /** What the journal would have to keep. */
  readonly #forJournal = new UnsyncedBytes();
  /** Bytes written for transactions since a sync last began. */
  #aheadBytes = 0;

  /** @param flushedOffset everything below is there in the partition's own files. */
  constructor(segments: readonly Segment[], flushedOffset: number) {
    const newest = segments.at(-1);
    for (const segment of segments) {
      if (segment !== newest && segment.nextOffset <= flushedOffset) continue;
      this.#segments.add(segment); // the newest in any case: it may be new, or was cut
      this.#unnamed.add(segment);
    }
  }

  /** True when a commit would wait for too much. */
  get isTooMuchAhead(): boolean {
    return this.#aheadBytes >= SYNC_AHEAD_BYTES;
  }

  /** Takes in a round that was written at `position`; `hasJournal` if a journal may want it. */
  add({ segment, batches, isTransactional }: Round, position: number, hasJournal: boolean): void {
    this.#segments.add(segment);
    if (position === 0) this.#unnamed.add(segment);
    if (hasJournal) this.#forJournal.add(segment, position, batches);
    if (isTransactional) for (const { length } of batches) this.#aheadBytes += length;
  }

  /** True when a segment besides `segment` has something unsynced. */
  isBeside(segment: Segment): boolean {
    for (const other of this.#segments) if (other !== segment) return true;
    return false;
  }

  /** Gives the segments to sync, and whether their directory is to be. */
  take(): { readonly segments: readonly Segment[]; readonly areNamed: boolean } {
    const taken = { segments: [...this.#segments], areNamed: this.#unnamed.size === 0 };
    this.#segments.clear();
    this.#unnamed.clear();
    this.#forJournal.restart();
    this.#aheadBytes = 0;
    return taken;
  }

  /** What the journal can keep instead; undefined when it is too much, or a name is unsynced. */
  takeForJournal(): Pick<JournalEntry, 'baseOffset' | 'position' | 'bytes'> | undefined {
    return this.#unnamed.size === 0 ? this.#forJournal.take() : undefined;
  }

  /** Forgets a segment that is to be removed: nothing of it has to be durable. */
  forget(segment: Segment): void {
    this.#segments.delete(segment);
    this.#unnamed.delete(segment);
  }
}
