import type { FixedWindows, Windowed } from '../topology/windows.ts';
import { addMergeable } from './aggregations.ts';
import { cogrouping, ofStreams, type CogroupParts } from './cogroups.ts';
import type { DroppedOptions } from './dropped-records.ts';
import type { Synchronous } from './functions.ts';
import { KTable } from './ktable.ts';
import type { MergeableOptions } from './node-options.ts';

/** Grouped streams that are aggregated together, in time windows. */
export class TimeWindowedCogroupedStream<K, A, N = never> {
  readonly #parts: CogroupParts<K, A>;
  readonly #windows: FixedWindows;

  /** @internal `CogroupedStream.windowedBy` makes them. */
  constructor(parts: CogroupParts<K, A>, windows: FixedWindows) {
    this.#parts = parts;
    this.#windows = windows;
  }

  /** One value for each key and window, as without windows. */
  aggregate(
    initializer: () => A & Synchronous<A>,
    options: MergeableOptions<K, NonNullable<A>> & DroppedOptions<K, unknown> = {},
  ): KTable<Windowed<K>, A | N> {
    const what = cogrouping<K, A>(initializer);
    const table = addMergeable(this.#parts, this.#windows, what, ofStreams(options));
    return new KTable<Windowed<K>, A | N>(table);
  }
}
