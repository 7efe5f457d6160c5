/** Two neighbours in a list of bounds are a stretch of offsets, the second one not included. */
type Bounds = number[];

/**
 * A set of offsets that a committed offset with its metadata can hold: all below one, and stretches
 * behind it, such as `7-9,12`, both ends included.
 */
export class OffsetSet {
  #below: number;
  /** Rising, behind `#below` and not next to it. */
  #bounds: Bounds = [];

  /** All offsets below `below`. */
  constructor(below: number) {
    this.#below = below;
  }

  /** The set that was encoded; metadata of another program counts as none. */
  static decode(below: number, metadata: string): OffsetSet {
    const set = new OffsetSet(below);
    if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(metadata)) return set;
    for (const stretch of metadata.split(',')) {
      const [first = 0, last = first] = stretch.split('-').map(Number);
      set.#bounds.push(first, last + 1);
    }
    return set;
  }

  /** The first offset that is not in it. */
  get below(): number {
    return this.#below;
  }

  has(offset: number): boolean {
    if (offset < this.#below) return true;
    const index = this.#bounds.findIndex((bound) => bound > offset);
    return index % 2 === 1;
  }

  /** Adds the offsets from `first` up to `end`, which is not included. */
  add(first: number, end = first + 1): void {
    const others: Bounds = [];
    let [start, stop] = [first, end];
    for (let index = 0; index < this.#bounds.length; index += 2) {
      const [from, to] = [this.#bounds[index]!, this.#bounds[index + 1]!];
      const isNext = from <= stop && to >= start; // it overlaps, or is next to it
      if (isNext) [start, stop] = [Math.min(start, from), Math.max(stop, to)];
      else others.push(from, to);
    }
    if (start <= this.#below) this.#below = Math.max(this.#below, stop);
    else {
      const found = others.findIndex((bound) => bound > start);
      others.splice(found < 0 ? others.length : found, 0, start, stop);
    }
    this.#bounds = others;
  }

  /** How many stretches it has behind `below`. */
  get stretches(): number {
    return this.#bounds.length / 2;
  }

  /** Takes out the offsets below one, but those below `below`. */
  removeBelow(offset: number): void {
    const kept: Bounds = [];
    for (let index = 0; index < this.#bounds.length; index += 2) {
      const [first, end] = [this.#bounds[index]!, this.#bounds[index + 1]!];
      if (end > offset) kept.push(Math.max(first, offset), end);
    }
    this.#bounds = kept;
  }

  /** The stretches behind `below`, as the metadata of a committed offset. */
  encode(): string {
    const stretches: string[] = [];
    for (let index = 0; index < this.#bounds.length; index += 2) {
      const [first, end] = [this.#bounds[index]!, this.#bounds[index + 1]!];
      stretches.push(end - first === 1 ? String(first) : `${first}-${end - 1}`);
    }
    return stretches.join(',');
  }
}
