import { string, topic } from '../../core/index.ts';
import type { Change } from '../../streams/topology/change.ts';
import type { Operator } from '../../streams/topology/operator.ts';
import type { KTable } from '../../streams/dsl/ktable.ts';
import { addOperator } from '../../streams/dsl/parts.ts';
import { StreamsBuilder, type KStream } from '../../streams/index.ts';
import { TopologyTestDriver } from '../../streams/testing/index.ts';
import { numbers, shown } from './drive.ts';

/** What `changesOf` of a table is written to. */
export const changes = topic('changes', { key: string(), value: string() });

/** Writes `old>new` of each change, with `-` for nothing. */
export function oldAndNew<K, V>(
  show: (value: V) => unknown = String,
): Operator<K, Change<V>, K, string> {
  return {
    kind: 'old-and-new',
    changesKey: false,
    oldValues: 'needed',
    start: (forward) => ({
      process: (record) => {
        const { oldValue, newValue, isLatest } = record.value;
        const text = [oldValue, newValue].map((value) =>
          value === null || value === undefined ? '-' : show(value),
        );
        forward(record.withValue(`${text.join('>')}${isLatest ? '' : ' late'}`));
      },
    }),
  };
}

/** The changes of a table, with their old values, as text. */
export function changesOf<K, V>(
  table: KTable<K, V>,
  show?: (value: NonNullable<V>) => unknown,
): KStream<K, string> {
  const { graph, node: parent, keySerde, stream } = table.parts;
  const operator = oldAndNew<K, NonNullable<V>>(show);
  const node = addOperator(graph, operator, {
    name: graph.nameFor(operator.kind, undefined, parent),
    parents: [parent],
    errors: {},
  });
  return stream<K, string>({ graph, node, keySerde, valueSerde: string(), isRekeyed: false });
}

/** Pipes rows `key value time`, `-` for null; returns what `build` makes of the table. */
export function tableOf<K, V>(
  build: (table: KTable<string, number | null>, builder: StreamsBuilder) => KTable<K, V>,
) {
  const builder = new StreamsBuilder();
  changesOf(build(builder.table(numbers, { store: 'rows' }), builder))
    .selectKey(({ key }) => (typeof key === 'string' ? key : JSON.stringify(key)))
    .to(changes);
  const driver = new TopologyTestDriver(builder.build());
  const pipe = (rows: string) => {
    for (const row of rows.split(', ')) {
      const [key = '', value, time] = row.split(' ');
      const given = { key, value: value === '-' ? null : Number(value), timestampMs: Number(time) };
      driver.inputTopic(numbers).pipe(given);
    }
    return shown(driver.outputTopic(changes).readAll());
  };
  return { driver, pipe };
}
