import { int64, string, topic } from '../../core/index.ts';
import { StreamsBuilder, type AsyncOrder, type Topology } from '../../streams/index.ts';

export type Order = AsyncOrder;

export const RECORDS = 2_500;
export const KEYS = 7;
export const input = topic('input', { key: string(), value: int64(), partitions: 2 });
export const output = topic('output', { key: string(), value: string() });
export const deadLetters = 'later-dead-letters';

/** Running sums of each key, each passed on later; every hundredth record fails. */
export function asyncTopology(order: Order): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream(input)
    .mapValuesAsync(
      async (value) => {
        if (value % 3 === 0) await new Promise((resolve) => setTimeout(resolve, value % 5));
        if (value % 100 === 99) throw new TypeError('it is one of a hundred');
        return value;
      },
      { order, store: 'first', onError: 'deadLetter' },
    )
    .groupByKey({ value: int64() })
    .aggregate(
      () => ({ value: 0, sum: 0 }),
      ({ sum }, { value }) => ({ value, sum: sum + value }),
      { store: 'sums', emit: 'each' },
    )
    .toStream()
    .mapValuesAsync(
      async ({ value, sum }) => {
        if (value % 7 === 0) await new Promise((resolve) => setTimeout(resolve, value % 4));
        return `${value} ${sum}`;
      },
      { order, store: 'second' },
    )
    .to(output);
  return builder.build();
}
