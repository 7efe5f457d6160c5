import type { Segment } from './segment.ts';

/** Readers mostly continue where they stopped; this many positions are remembered. */
const POSITIONS_MAX = 64;

interface Place {
  readonly segment: Segment;
  readonly position: number;
}

/** Positions of batches that are likely to be read next: saves the search in the index. */
export class ReadPositions {
  readonly #places = new Map<number, Place>();

  note(segment: Segment, offset: number, position: number): void {
    this.#places.delete(offset);
    this.#places.set(offset, { segment, position });
    if (this.#places.size <= POSITIONS_MAX) return;
    for (const oldest of this.#places.keys()) {
      this.#places.delete(oldest);
      return;
    }
  }

  find(segment: Segment, offset: number): { readonly position: number } | undefined {
    const place = this.#places.get(offset);
    return place?.segment === segment ? { position: place.position } : undefined;
  }

  forget(segment: Segment): void {
    for (const [offset, place] of this.#places) {
      if (place.segment === segment) this.#places.delete(offset);
    }
  }

  clear(): void {
    this.#places.clear();
  }
}
