import { noneDropped, type DropReason } from '../topology/operator.ts';

/** Dropped records by node and reason. */
export class DropCounts {
  readonly #byNode = new Map<string, Record<DropReason, number>>();

  /** Counts a record that `node` drops. */
  add(node: string, reason: DropReason): void {
    this.#of(node)[reason]++;
  }

  addAll(other: DropCounts): void {
    for (const [node, counts] of other.#byNode) addTo(this.#of(node), counts);
  }

  copy(): DropCounts {
    const copied = new DropCounts();
    copied.addAll(this);
    return copied;
  }

  /** By reason, over all nodes. */
  total(): Record<DropReason, number> {
    const sums = noneDropped();
    for (const counts of this.#byNode.values()) addTo(sums, counts);
    return sums;
  }

  /** By the name of the node, for those that have dropped any. */
  byNode(): Record<string, Record<DropReason, number>> {
    return Object.fromEntries([...this.#byNode].map(([node, counts]) => [node, { ...counts }]));
  }

  #of(node: string): Record<DropReason, number> {
    let counts = this.#byNode.get(node);
    if (counts === undefined) this.#byNode.set(node, (counts = noneDropped()));
    return counts;
  }
}

function addTo(
  sums: Record<DropReason, number>,
  counts: Readonly<Record<DropReason, number>>,
): void {
  for (const reason of Object.keys(sums) as DropReason[]) sums[reason] += counts[reason];
}
