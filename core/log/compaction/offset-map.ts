/** Bytes of an entry besides its key: offset, hash, end of the key, two slots. */
const ENTRY_BYTES = 8 + 4 + 4 + 2 * 4;
const ENTRIES_MIN = 1024;
const NO_ENTRY = 0;

/**
 * The newest offset of each key, by which compaction decides. Stores whole keys in one buffer, so
 * that two keys are never confused; Kafka stores a 16-byte hash instead (`SkimpyOffsetMap`), which
 * costs as much as a key of that length.
 */
export class OffsetMap {
  /** The map covers every record up to here. The code that fills the map moves it. */
  latestOffset = -1;
  readonly #limitBytes: number;
  #count = 0;
  #keys = Buffer.allocUnsafeSlow(16 * ENTRIES_MIN);
  #keyEnds = new Uint32Array(ENTRIES_MIN);
  #hashes = new Int32Array(ENTRIES_MIN);
  #offsets = new Float64Array(ENTRIES_MIN);
  /** Twice as many slots as entries fit; each holds an entry's number plus one, or NO_ENTRY. */
  #slots = new Int32Array(2 * ENTRIES_MIN);

  /** @param limitBytes of keys and entries together; `isFull` turns true there. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get count(): number {
    return this.#count;
  }

  /** True if no more keys should be put. A key put despite that is still stored. */
  get isFull(): boolean {
    return this.#count * ENTRY_BYTES + this.#endOf(this.#count - 1) >= this.#limitBytes;
  }

  /** Records that the key `source[start, end)` is at `offset`, which exceeds all earlier ones. */
  put(source: Buffer, start: number, end: number, offset: number): void {
    const hash = hashOf(source, start, end);
    let slot = this.#slotOf(hash, source, start, end);
    const entry = this.#slots[slot]!;
    if (entry !== NO_ENTRY) {
      this.#offsets[entry - 1] = offset;
      return;
    }
    if (this.#count === this.#offsets.length) {
      this.#growEntries();
      slot = this.#slotOf(hash, source, start, end);
    }
    const keyStart = this.#endOf(this.#count - 1);
    const keyEnd = keyStart + end - start;
    if (keyEnd > this.#keys.length) this.#growKeys(keyEnd);
    source.copy(this.#keys, keyStart, start, end);
    this.#keyEnds[this.#count] = keyEnd;
    this.#hashes[this.#count] = hash;
    this.#offsets[this.#count] = offset;
    this.#slots[slot] = ++this.#count;
  }

  /** The newest offset of the key `source[start, end)`, or -1 if it is not in the map. */
  get(source: Buffer, start: number, end: number): number {
    const entry = this.#slots[this.#slotOf(hashOf(source, start, end), source, start, end)]!;
    return entry === NO_ENTRY ? -1 : this.#offsets[entry - 1]!;
  }

  #endOf(index: number): number {
    return index < 0 ? 0 : this.#keyEnds[index]!;
  }

  /** The slot that holds the key, or the empty one where it would go. */
  #slotOf(hash: number, source: Buffer, start: number, end: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot]!;
      if (entry === NO_ENTRY) return slot;
      if (this.#hashes[entry - 1] === hash && this.#isKey(entry - 1, source, start, end)) {
        return slot;
      }
    }
  }

  #isKey(index: number, source: Buffer, start: number, end: number): boolean {
    const keyStart = this.#endOf(index - 1);
    const length = end - start;
    if (this.#keyEnds[index]! - keyStart !== length) return false;
    const keys = this.#keys;
    for (let at = 0; at < length; at++) {
      if (keys[keyStart + at] !== source[start + at]) return false;
    }
    return true;
  }

  #growEntries(): void {
    const length = this.#offsets.length * 2;
    this.#keyEnds = copyInto(new Uint32Array(length), this.#keyEnds);
    this.#hashes = copyInto(new Int32Array(length), this.#hashes);
    this.#offsets = copyInto(new Float64Array(length), this.#offsets);
    const slots = new Int32Array(2 * length);
    const mask = slots.length - 1;
    for (let index = 0; index < this.#count; index++) {
      let slot = this.#hashes[index]! & mask;
      while (slots[slot] !== NO_ENTRY) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
    this.#slots = slots;
  }

  #growKeys(lengthMin: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(lengthMin, this.#keys.length * 2));
    this.#keys.copy(larger);
    this.#keys = larger;
  }
}

function copyInto<T extends Uint32Array | Int32Array | Float64Array>(target: T, source: T): T {
  target.set(source);
  return target;
}

/** FNV-1a, mixed at the end (murmur3) because slots go by the low bits. */
function hashOf(source: Buffer, start: number, end: number): number {
  let hash = 0x811c_9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ source[at]!, 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}
