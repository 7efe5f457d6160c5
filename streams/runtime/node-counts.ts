/** Counts of records by node and kind, such as the reason for which they were dropped. */
export class NodeCounts<Kind extends string> {
  readonly #none: () => Record<Kind, number>;
  readonly #byNode = new Map<string, Record<Kind, number>>();

  /** @param none makes initial counts. */
  constructor(none: () => Record<Kind, number>) {
    this.#none = none;
  }

  add(node: string, kind: Kind): void {
    this.#of(node)[kind]++;
  }

  addAll(other: NodeCounts<Kind>): void {
    for (const [node, counts] of other.#byNode) addTo(this.#of(node), counts);
  }

  /** Raises each count to that of the others. */
  raiseTo(others: NodeCounts<Kind>): void {
    for (const [node, counts] of others.#byNode) {
      const own = this.#of(node);
      for (const kind of Object.keys(own) as Kind[]) own[kind] = Math.max(own[kind], counts[kind]);
    }
  }

  copy(): NodeCounts<Kind> {
    const copied = new NodeCounts(this.#none);
    copied.addAll(this);
    return copied;
  }

  /** By kind, over all nodes. */
  total(): Record<Kind, number> {
    const sums = this.#none();
    for (const counts of this.#byNode.values()) addTo(sums, counts);
    return sums;
  }

  /** By the name of the node, for those that have any. */
  byNode(): Record<string, Record<Kind, number>> {
    return Object.fromEntries([...this.#byNode].map(([node, counts]) => [node, { ...counts }]));
  }

  #of(node: string): Record<Kind, number> {
    let counts = this.#byNode.get(node);
    if (counts === undefined) this.#byNode.set(node, (counts = this.#none()));
    return counts;
  }
}

function addTo<Kind extends string>(
  sums: Record<Kind, number>,
  counts: Readonly<Record<Kind, number>>,
): void {
  for (const kind of Object.keys(sums) as Kind[]) sums[kind] += counts[kind];
}
