import type { LogError } from '../../errors.ts';
import type { PartitionQueue } from './accumulator.ts';

/** The transaction that a sender has open. */
export class OpenTransaction {
  /** Partitions that take part in it, as the broker knows. */
  readonly members = new Set<PartitionQueue>();
  /** Those of which the broker is being told: nothing more is sent to them until it knows. */
  readonly joining = new Set<PartitionQueue>();
  /** True once the broker may have heard of it. */
  hasBegun = false;
  /** What failed in it first: it can only be aborted. */
  failure: LogError | undefined;
}
