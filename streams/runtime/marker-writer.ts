import type { Feed } from './operator-time.ts';
import type { Outputs } from './outputs.ts';
import { repartitionsEndingIn, type Plan, type TaskPlan } from './plan.ts';
import { encodeTimeMarker, type TimeMarker } from './stream-time.ts';

/** A repartition topic that a task writes to, and the last marker the task wrote there. */
interface Downstream {
  readonly node: string;
  readonly partitions: number;
  readonly feed: Feed;
  /** Undefined before the first marker; each start writes all of them again. */
  last: TimeMarker | undefined;
}

/** Tells the readers of the repartition topics that a task writes to how far the task is. */
export class MarkerWriter {
  readonly #upstream: number;
  readonly #outputs: Outputs;
  readonly #downstreams: readonly Downstream[];

  /** @param exits by repartition node, where the records come from that leave through it. */
  constructor(
    { topology, repartitionTopics }: Plan,
    { subTopology, partition }: TaskPlan,
    { exits, outputs }: { readonly exits: ReadonlyMap<string, Feed>; readonly outputs: Outputs },
  ) {
    const own = new Set(repartitionsEndingIn(topology, subTopology));
    this.#upstream = partition;
    this.#outputs = outputs;
    this.#downstreams = repartitionTopics
      .filter(({ node }) => own.has(node))
      .map(({ node: { name }, partitions }) => {
        return { node: name, partitions, feed: exits.get(name)!, last: undefined };
      });
  }

  /** True if a marker is out of date. */
  hasNews(isEnded: boolean): boolean {
    return this.#downstreams.some((each) => this.#pendingMarker(each, isEnded) !== undefined);
  }

  /** Writes the markers that are out of date; returns true if there were any. */
  write(isEnded: boolean): boolean {
    let hasWritten = false;
    for (const downstream of this.#downstreams) {
      const marker = this.#pendingMarker(downstream, isEnded);
      if (marker === undefined) continue;
      downstream.last = marker;
      hasWritten = true;
      const timestampMs = Math.max(0, marker.timeMs);
      const headers = encodeTimeMarker(marker);
      const writer = this.#outputs.node(downstream.node);
      for (let partition = 0; partition < downstream.partitions; partition++) {
        writer.write(null, null, timestampMs, headers, partition);
      }
    }
    return hasWritten;
  }

  /** The marker that a topic needs; undefined if it is up to date. */
  #pendingMarker({ feed, last }: Downstream, isEnded: boolean): TimeMarker | undefined {
    const timeMs = Math.max(feed.timeMs(), last?.timeMs ?? -Infinity);
    const { isIdle } = feed;
    if (last?.timeMs === timeMs && last.isIdle === isIdle && last.isEnded === isEnded) return;
    return { upstream: this.#upstream, timeMs, isIdle, isEnded };
  }
}
