import { LogError } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';
import type { TopologyNode } from '../topology/node.ts';
import type { Forward, OperatorContext, Processor } from '../topology/operator.ts';
import type { SubTopology, Topology } from '../topology/topology.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { Outputs } from './outputs.ts';
import { repartitionTopic } from './plan.ts';

/** The processors of one task, wired up: each calls the next directly. */
export interface ProcessorGraph {
  /** Where the records of a source or repartition node come in, by node name. */
  readonly entries: ReadonlyMap<string, Forward<unknown, unknown>>;
  /** In the order of the topology: parents first. */
  readonly processors: readonly Processor<unknown, unknown>[];
}

/** Sets the operators of a sub-topology to work for one task. */
export function startProcessors(
  applicationId: string,
  topology: Topology,
  subTopology: SubTopology,
  outputs: Outputs,
  context: OperatorContext,
): ProcessorGraph {
  const nodes = topology.nodes.filter(({ name }) => subTopology.nodes.includes(name));
  const entries = new Map<string, Forward<unknown, unknown>>();
  const processors: Processor<unknown, unknown>[] = [];
  const started = new Map<string, Forward<unknown, unknown>>();
  const isEntry = (node: TopologyNode): boolean =>
    subTopology.sources.some((each) => each === node);
  // Children first, so that each finds what it forwards to.
  for (const node of [...nodes].reverse()) {
    const children = nodes.filter(({ parents }) => parents.includes(node.name));
    const forward = toAll(children.map(({ name }) => started.get(name)!));
    switch (node.kind) {
      case 'source':
        entries.set(node.name, forward);
        break;
      case 'repartition':
        if (isEntry(node)) entries.set(node.name, forward);
        else started.set(node.name, writeTo(outputs, repartitionTopic(applicationId, node.id)));
        break;
      case 'sink':
        started.set(node.name, writeTo(outputs, node.topic.name));
        break;
      case 'operator': {
        const processor = node.operator.start(forward, context);
        processors.unshift(processor);
        started.set(node.name, guarded(node.name, processor));
      }
    }
  }
  return { entries, processors };
}

function toAll(children: readonly Forward<unknown, unknown>[]): Forward<unknown, unknown> {
  const [first, second, ...others] = children;
  if (first === undefined) return () => undefined;
  if (second === undefined) return first;
  return (record) => {
    first(record);
    second(record);
    for (const child of others) child(record);
  };
}

function writeTo(outputs: Outputs, topic: string): Forward<unknown, unknown> {
  const writer = outputs.writer(topic);
  return (record) => {
    writer.write(record.key ?? null, record.value ?? null, record.timestampMs, record.headers);
  };
}

/** Names the node and the record in what a user's function throws. */
function guarded(node: string, processor: Processor<unknown, unknown>): Forward<unknown, unknown> {
  return (record) => {
    try {
      processor.process(record);
    } catch (cause) {
      throw processingFailed(node, record, cause);
    }
  };
}

function processingFailed(node: string, record: StreamRecord, cause: unknown): unknown {
  if (cause instanceof StreamsError || cause instanceof LogError) return cause;
  const { topic, partition, offset } = record;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const place = topic === '' ? 'a result' : `${topic}-${partition} at offset ${offset}`;
  const message = `${node} failed on ${place}: ${reason}`;
  return new StreamsError(
    'PROCESSING_FAILED',
    message,
    { node, topic, partition, offset },
    { cause },
  );
}
