import type { JournalEntry } from './journal-frame.ts';
import type { Segment } from '../segment/segment.ts';

/** A partition with more unsynced bytes than this is synced directly. */
const BYTES_MAX = 32 * 1024;
const FIRST_BYTES = 1024;

/**
 * A copy of the bytes written to one segment since the last sync, as long as they are few enough
 * for the journal. Knows nothing at first: it starts after a sync of the file itself.
 */
export class UnsyncedBytes {
  #segment: Segment | undefined;
  #position = 0;
  #sizeBytes = 0;
  #bytes: Buffer = NOTHING;
  #isTooMuch = true;

  /** Records that everything before was synced, or is being synced. */
  restart(): void {
    this.#segment = undefined;
    this.#sizeBytes = 0;
    this.#isTooMuch = false;
  }

  /** Forgets which bytes are unsynced, until the next `restart`. */
  lose(): void {
    this.#isTooMuch = true;
    this.#bytes = NOTHING;
  }

  /** Adds the bytes written at `position`. */
  add(segment: Segment, position: number, batches: readonly Buffer[]): void {
    if (this.#isTooMuch) return;
    const sizeBytes = batches.reduce((sum, { length }) => sum + length, this.#sizeBytes);
    const isElsewhere = this.#segment !== undefined && this.#segment !== segment;
    if (isElsewhere || sizeBytes > BYTES_MAX) {
      this.lose();
      return;
    }
    if (this.#segment === undefined) {
      this.#segment = segment;
      this.#position = position;
    }
    this.#makeRoom(sizeBytes);
    for (const batch of batches) this.#sizeBytes += batch.copy(this.#bytes, this.#sizeBytes);
  }

  /** Takes the bytes for the journal; undefined if they are too many, or unknown. */
  take(): Pick<JournalEntry, 'baseOffset' | 'position' | 'bytes'> | undefined {
    if (this.#isTooMuch || this.#segment === undefined) return undefined;
    const bytes = this.#bytes.subarray(0, this.#sizeBytes);
    const taken = { baseOffset: this.#segment.baseOffset, position: this.#position, bytes };
    this.#bytes = NOTHING; // the caller owns them now
    this.restart();
    return taken;
  }

  #makeRoom(sizeBytes: number): void {
    if (sizeBytes <= this.#bytes.length) return;
    let room = Math.max(FIRST_BYTES, this.#bytes.length);
    while (room < sizeBytes) room *= 2;
    const bytes = Buffer.allocUnsafeSlow(room);
    this.#bytes.copy(bytes, 0, 0, this.#sizeBytes);
    this.#bytes = bytes;
  }
}

const NOTHING = Buffer.alloc(0);
