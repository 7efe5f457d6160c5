import type { StreamPartitioner, TopologyNode } from '../topology/node.ts';
import type { DropReason, Forward } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { RecordWriter } from './outputs.ts';
import type { Failures } from './failures.ts';
import type { EndToEndMeter } from './meters.ts';
import { processingFailed } from './record-failures.ts';

/** What writing uses of its task. */
export interface WritingContext {
  /** Counts a record that no partition gets. */
  readonly drop: (reason: DropReason) => void;
  /** Decides about records that cannot be written. */
  readonly failures: Failures;
  /** Measures the age of the records. */
  readonly endToEnd: EndToEndMeter;
}

/**
 * Writes what reaches a sink or repartition node. If a key or value cannot be written, or the
 * partitioner fails, the record is dropped, or the task ends with the node and the record in the
 * error.
 */
export function writeTo(
  node: TopologyNode,
  writer: RecordWriter,
  { drop, failures, endToEnd }: WritingContext,
): Forward<unknown, unknown> {
  const { name } = node;
  const write = writing(node, writer, drop);
  return (record) => {
    endToEnd.note(record.timestampMs);
    try {
      write(record);
    } catch (cause) {
      const error = processingFailed(name, record, cause);
      failures.handle({ stage: 'production', node: name, cause, place: record, record, error });
    }
  };
}

function writing(
  node: TopologyNode,
  writer: RecordWriter,
  drop: (reason: DropReason) => void,
): Forward<unknown, unknown> {
  const partitioner =
    node.kind === 'sink' || node.kind === 'repartition' ? node.partitioner : undefined;
  if (partitioner !== undefined) return partitioned(partitioner, writer, drop);
  return ({ key, value, timestampMs, headers }) => {
    writer.write(key ?? null, value ?? null, timestampMs, headers);
  };
}

/** Writes each record to the partitions that the partitioner chooses: once to each. */
function partitioned(
  partitioner: StreamPartitioner<unknown, unknown>,
  writer: RecordWriter,
  drop: (reason: DropReason) => void,
): Forward<unknown, unknown> {
  const { partitions } = writer;
  const write = (record: StreamRecord, partition: number | undefined): void => {
    const { key, value, timestampMs, headers } = record;
    writer.write(key ?? null, value ?? null, timestampMs, headers, partition);
  };
  return (record) => {
    const chosen = partitioner(record, partitions);
    if (typeof chosen !== 'object') {
      write(record, chosen);
      return;
    }
    if (chosen.length === 0) drop('unmatched');
    for (const [index, partition] of chosen.entries()) {
      if (chosen.indexOf(partition) === index) write(record, partition);
    }
  };
}
