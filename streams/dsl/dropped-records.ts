import { passDropped } from '../operators/cogroup.ts';
import type { DroppedRecord } from '../topology/operator.ts';
import type { ErrorPolicy } from '../topology/record-errors.ts';
import { checkFunctions } from './arguments.ts';
import type { KStream } from './kstream.ts';
import { addOperator, type StreamMaker, type StreamParts } from './parts.ts';

/** What becomes of the records that an operator drops, besides being counted. */
export interface DroppedOptions<K, V> {
  /**
   * Called once, as the topology is made, with a stream of the records that the operator drops:
   * each with its own key, time and headers, and its value with the reason, in the transaction that
   * drops it. The types are those of the operator's input. Default: they are only counted.
   *
   * @example
   * dropped: (records) => records.mapValues(({ value }) => value).to(lateOrders),
   */
  readonly dropped?: (records: KStream<K | null, DroppedRecord<V | null>>) => void;
}

/** Lets the user add what follows the records that a node drops. */
export function addDropped<K, V>(
  { graph, node, keySerde }: Pick<StreamParts<K, V>, 'graph' | 'node' | 'keySerde'>,
  stream: StreamMaker,
  { dropped, ...errors }: DroppedOptions<K, V> & ErrorPolicy,
): void {
  if (dropped === undefined) return;
  checkFunctions('dropped', { dropped });
  const name = graph.nameFor('dropped', undefined, node);
  const place = { name, parents: [node], takesDropped: true, errors };
  addOperator(graph, passDropped<K | null, V | null>(), place);
  dropped(stream({ graph, node: name, keySerde, valueSerde: undefined, isRekeyed: false }));
}
