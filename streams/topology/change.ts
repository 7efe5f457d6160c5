/**
 * What flows out of a table: the change of one key. Null is no value.
 *
 * The old value is exactly the one that the same node passed on last for the key, whatever commits,
 * restarts and checkpoints came in between; so what an operator has added for it can be taken away
 * again.
 */
export class Change<V> {
  readonly newValue: V | null;
  /** Undefined if no operator behind the table needs it: see `Operator.oldValues`. */
  readonly oldValue: V | null | undefined;
  /** False for a change of the past, which only a versioned table has. */
  readonly isLatest: boolean;

  constructor(newValue: V | null, oldValue: V | null | undefined, isLatest: boolean) {
    this.newValue = newValue;
    this.oldValue = oldValue;
    this.isLatest = isLatest;
  }
}
