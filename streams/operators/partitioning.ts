import { show } from '../../core/internal.ts';
import type { StreamPartitioner } from '../topology/node.ts';
import { synchronous } from './results.ts';

/** The partitioner of a user, with its results checked [OP-27]. */
export function checkedPartitioner<K, V>(
  partitioner: StreamPartitioner<K, V>,
): StreamPartitioner<K, V> {
  return (record, partitions) => {
    const chosen = synchronous(partitioner(record, partitions));
    if (Array.isArray(chosen)) {
      for (const partition of chosen) checkPartition(partition, partitions);
    } else if (chosen !== undefined) {
      checkPartition(chosen, partitions);
    }
    return chosen;
  };
}

function checkPartition(partition: unknown, partitions: number): void {
  if (Number.isInteger(partition) && Number(partition) >= 0 && Number(partition) < partitions) {
    return;
  }
  throw new TypeError(
    `its partitioner returned ${show(partition)}, and the topic has ${partitions} partitions; it ` +
      'has to return numbers from 0: one, a list of several or none, or undefined for the ' +
      'partition of the key',
  );
}
