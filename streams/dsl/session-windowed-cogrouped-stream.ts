import type { SessionWindows, Windowed } from '../topology/windows.ts';
import { addSessionAggregate } from './aggregations.ts';
import { cogroupMerging, ofStreams, type CogroupParts } from './cogroups.ts';
import type { DroppedOptions } from './dropped-records.ts';
import type { Merger, Synchronous } from './functions.ts';
import { KTable } from './ktable.ts';
import { checkNodeOptions, type WindowedOptions } from './node-options.ts';

/** Grouped streams that are aggregated together, in sessions of records of all of them. */
export class SessionWindowedCogroupedStream<K, A> {
  readonly #parts: CogroupParts<K, A>;
  readonly #windows: SessionWindows;

  /** @internal `CogroupedStream.windowedBy` makes them. */
  constructor(parts: CogroupParts<K, A>, windows: SessionWindows) {
    this.#parts = parts;
    this.#windows = windows;
  }

  /** One value for each key and session; `merger` combines those of sessions that merge. */
  aggregate(
    initializer: () => A & Synchronous<A>,
    merger: Merger<K, A>,
    options: WindowedOptions<NonNullable<A>> & DroppedOptions<K, unknown> = {},
  ): KTable<Windowed<K>, A | null> {
    checkNodeOptions('aggregate', options, ['name', 'store', 'value', 'emit', 'dropped']);
    const what = cogroupMerging<K, A>(initializer, merger);
    const table = addSessionAggregate(this.#parts, this.#windows, what, ofStreams(options));
    return new KTable(table);
  }
}
