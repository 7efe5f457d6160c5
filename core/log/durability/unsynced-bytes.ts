import type { JournalEntry } from './journal-frame.ts';
import type { Segment } from '../segment/segment.ts';

/** A partition with more than this to sync is synced itself. */
const BYTES_MAX = 32 * 1024;
const FIRST_BYTES = 1024;

/**
 * A copy of what was written to one segment since the last sync, as long as it is little enough for
 * the journal. Nothing is known at first: only behind a sync of the file itself does it begin.
 */
export class UnsyncedBytes {
  #segment: Segment | undefined;
  #position = 0;
  #sizeBytes = 0;
  #bytes: Buffer = NOTHING;
  #isTooMuch = true;

  /** Says that everything before was synced, or is being synced. */
  restart(): void {
    this.#segment = undefined;
    this.#sizeBytes = 0;
    this.#isTooMuch = false;
  }

  /** Takes in what was written at `position`. */
  add(segment: Segment, position: number, batches: readonly Buffer[]): void {
    if (this.#isTooMuch) return;
    const sizeBytes = batches.reduce((sum, { length }) => sum + length, this.#sizeBytes);
    const isElsewhere = this.#segment !== undefined && this.#segment !== segment;
    if (isElsewhere || sizeBytes > BYTES_MAX) {
      this.#isTooMuch = true;
      this.#bytes = NOTHING;
      return;
    }
    if (this.#segment === undefined) {
      this.#segment = segment;
      this.#position = position;
    }
    this.#makeRoom(sizeBytes);
    for (const batch of batches) this.#sizeBytes += batch.copy(this.#bytes, this.#sizeBytes);
  }

  /** What there is, for the journal; undefined when it is too much, or not known. */
  take(): Pick<JournalEntry, 'baseOffset' | 'position' | 'bytes'> | undefined {
    if (this.#isTooMuch || this.#segment === undefined) return undefined;
    const bytes = this.#bytes.subarray(0, this.#sizeBytes);
    const taken = { baseOffset: this.#segment.baseOffset, position: this.#position, bytes };
    this.#bytes = NOTHING; // whoever took it has it
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
