import type { Segment } from '../segment/segment.ts';
import type { JournalEntry } from './journal-frame.ts';
import { UnsyncedBytes } from './unsynced-bytes.ts';
import type { Round } from './write-rounds.ts';

/**
 * A sync begins after this many bytes that a commit must sync: the commit then waits only for the
 * last ones, not for all that the transaction has written.
 */
const SYNC_AHEAD_BYTES = 1024 * 1024;

/** The bytes that no sync has covered yet. */
export class Unsynced {
  /** Segments with unsynced bytes. */
  readonly #segments = new Set<Segment>();
  /** Segments whose names may not be durable: their directory is synced with them. */
  readonly #unnamed = new Set<Segment>();
  /** The bytes that the journal would have to keep. */
  readonly #forJournal = new UnsyncedBytes();
  /** Bytes written for transactions since a sync last began. */
  #aheadBytes = 0;

  /** @param flushedOffset the partition's own files have everything below. */
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

  /** Adds a round that was written at `position`; `hasJournal` if a journal may need its bytes. */
  add({ segment, batches, isTransactional }: Round, position: number, hasJournal: boolean): void {
    this.#segments.add(segment);
    if (position === 0) this.#unnamed.add(segment);
    if (hasJournal) this.#forJournal.add(segment, position, batches);
    if (isTransactional) for (const { length } of batches) this.#aheadBytes += length;
  }

  /** True if a segment besides `segment` has unsynced bytes. */
  isBeside(segment: Segment): boolean {
    for (const other of this.#segments) if (other !== segment) return true;
    return false;
  }

  /** Takes the segments to sync, and whether to sync their directory. */
  take(): { readonly segments: readonly Segment[]; readonly areNamed: boolean } {
    const taken = { segments: [...this.#segments], areNamed: this.#unnamed.size === 0 };
    this.#segments.clear();
    this.#unnamed.clear();
    this.#forJournal.restart();
    this.#aheadBytes = 0;
    return taken;
  }

  /**
   * The bytes that the journal can keep instead; undefined if too many, or if a name is unsynced.
   */
  takeForJournal(): Pick<JournalEntry, 'baseOffset' | 'position' | 'bytes'> | undefined {
    return this.#unnamed.size === 0 ? this.#forJournal.take() : undefined;
  }

  /** Forgets a segment about to be removed: none of it has to be durable. */
  forget(segment: Segment): void {
    this.#segments.delete(segment);
    this.#unnamed.delete(segment);
  }
}
