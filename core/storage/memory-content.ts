import type { Random } from '../random.ts';

/** The unit that a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

/** An unsynced change of a file. */
type Change =
  | { readonly number: number; readonly kind: 'write'; position: number; bytes: Buffer }
  | { readonly number: number; readonly kind: 'truncate'; sizeBytes: number };

/**
 * Two versions of a file's bytes: as programs see them (the page cache), and as stored on the disk,
 * with the changes in between that a power cut may lose, keep or tear.
 */
export class MemoryContent {
  readonly isDirectory = false;
  /** The time of the last write or truncation. */
  modifiedMs: number;
  readonly #current: Bytes;
  #durable: Bytes;
  /** The changes in the current bytes that the durable ones lack, in order. */
  #changes: Change[] = [];
  /** The number of the newest change. */
  #number = 0;

  constructor(modifiedMs: number, bytes = new Bytes()) {
    this.modifiedMs = modifiedMs;
    this.#current = bytes;
    this.#durable = bytes.copy();
  }

  get sizeBytes(): number {
    return this.#current.sizeBytes;
  }

  read(target: Uint8Array, position: number): number {
    return this.#current.read(target, position);
  }

  write(bytes: Buffer, position: number, nowMs: number): void {
    if (bytes.length === 0) return;
    this.#change({ number: ++this.#number, kind: 'write', position, bytes }, nowMs);
  }

  truncate(sizeBytes: number, nowMs: number): void {
    this.#change({ number: ++this.#number, kind: 'truncate', sizeBytes }, nowMs);
  }

  /** Begins a sync, which covers no later changes. Returns the function that ends it. */
  beginSync(): number {
    return this.#number;
  }

  endSync(covered: number): void {
    for (const change of this.#take(covered)) apply(change, this.#durable);
  }

  /**
   * Fails a sync: some of the bytes that it covered reach the disk. The rest never will, because
   * the kernel has marked its pages clean; a later sync reports success without it.
   */
  failSync(covered: number, random: Random): void {
    this.#durable = survivors(this.#durable, this.#take(covered), random);
  }

  /** The content after a power cut. */
  afterCrash(random: Random): MemoryContent {
    return new MemoryContent(this.modifiedMs, survivors(this.#durable, this.#changes, random));
  }

  copy(): MemoryContent {
    const copy = new MemoryContent(this.modifiedMs, this.#current.copy());
    copy.#durable = this.#durable.copy();
    copy.#changes = [...this.#changes];
    copy.#number = this.#number;
    return copy;
  }

  #change(change: Change, nowMs: number): void {
    apply(change, this.#current);
    this.#changes.push(change);
    this.modifiedMs = nowMs;
  }

  #take(upTo: number): Change[] {
    const count = this.#changes.findLastIndex(({ number }) => number <= upTo) + 1;
    return this.#changes.splice(0, count);
  }
}

function apply(change: Change, bytes: Bytes): void {
  if (change.kind === 'write') bytes.write(change.bytes, change.position);
  else bytes.resize(change.sizeBytes);
}

/** The share of unsynced changes that survives a crash. */
export const SURVIVALS = ['none', 'all', 'prefix', 'any'] as const;

export function pick<T>(random: Random, choices: readonly [T, ...T[]]): T {
  return choices[Math.floor(random.next() * choices.length)] ?? choices[0];
}

/**
 * One outcome of a crash. Each sector shows the file at some moment since the last sync,
 * independently of its neighbours; so does the size. Hence a later write may survive without an
 * earlier one, whose range then holds zeros or the old bytes.
 */
function survivors(durable: Bytes, changes: readonly Change[], random: Random): Bytes {
  const image = durable.copy();
  if (changes.length === 0) return image;
  const survival = pick(random, SURVIVALS);
  const prefix = Math.floor(random.next() * changes.length);
  const truth = durable.copy(); // the file after each change
  let { sizeBytes } = durable;
  for (const [index, change] of changes.entries()) {
    const start = change.kind === 'write' ? change.position : change.sizeBytes;
    const end = change.kind === 'write' ? start + change.bytes.length : truth.sizeBytes;
    apply(change, truth);
    const kept = keptShare(survival, index, prefix, random);
    for (let sector = Math.floor(start / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      if (random.next() < kept) image.copySector(truth, sector);
    }
    // The size is written separately from the data: it may arrive first, and then there are zeros.
    if (random.next() < kept) ({ sizeBytes } = truth);
  }
  image.resize(sizeBytes);
  return image;
}

/** The chance of each sector of a change to survive. */
function keptShare(
  survival: (typeof SURVIVALS)[number],
  index: number,
  prefix: number,
  random: Random,
): number {
  switch (survival) {
    case 'none':
      return 0;
    case 'all':
      return 1;
    case 'prefix':
      if (index === prefix) return random.next();
      return index < prefix ? 1 : 0;
    case 'any':
      return pick(random, [0, random.next(), 1]);
  }
}

/** Bytes that grow at their end; unwritten ones read as zero. */
class Bytes {
  /** Zero from `sizeBytes` on. */
  #buffer = Buffer.alloc(0);
  sizeBytes = 0;

  copy(): Bytes {
    const copy = new Bytes();
    copy.#buffer = Buffer.from(this.#buffer.subarray(0, this.sizeBytes));
    copy.sizeBytes = this.sizeBytes;
    return copy;
  }

  read(target: Uint8Array, position: number): number {
    const end = Math.min(position + target.length, this.sizeBytes);
    if (end <= position) return 0;
    target.set(this.#buffer.subarray(position, end));
    return end - position;
  }

  write(bytes: Buffer, position: number): void {
    this.#reach(position + bytes.length);
    this.#buffer.set(bytes, position);
  }

  resize(sizeBytes: number): void {
    this.#reach(sizeBytes);
    this.#buffer.fill(0, sizeBytes, this.sizeBytes);
    this.sizeBytes = sizeBytes;
  }

  copySector(source: Bytes, sector: number): void {
    const start = sector * SECTOR_BYTES;
    const end = start + SECTOR_BYTES;
    const sizeBytes = Math.max(this.sizeBytes, Math.min(end, source.sizeBytes));
    this.#reach(end);
    this.#buffer.fill(0, start, end);
    source.#buffer.copy(this.#buffer, start, start, Math.min(end, source.sizeBytes));
    this.sizeBytes = sizeBytes;
  }

  #reach(sizeBytes: number): void {
    if (sizeBytes > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(sizeBytes, this.#buffer.length * 2, SECTOR_BYTES));
      this.#buffer.copy(larger, 0, 0, this.sizeBytes);
      this.#buffer = larger;
    }
    if (sizeBytes > this.sizeBytes) this.sizeBytes = sizeBytes;
  }
}
