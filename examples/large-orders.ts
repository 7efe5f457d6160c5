import { json, string, topic } from 'millrace';
import { csv, fileSink, fileSource, jsonl } from 'millrace/connect';
import { defineJob } from 'millrace/job';

type Order = { id: string; customer: string; total: number };
const orders = topic('orders', { key: string(), value: json<Order>() });
const large = topic('large-orders', { key: string(), value: json<Order>() });

export default defineJob({
  name: 'large-orders',
  sources: [
    fileSource({
      path: 'orders/*.csv',
      format: csv<Order>({ columns: { total: 'number' } }),
      topic: orders,
      key: (row) => row.customer,
    }),
  ],
  topology: (builder) => {
    builder
      .stream(orders)
      .filter(({ value }) => value.total > 100)
      .to(large);
  },
  sinks: [fileSink({ topic: large, path: 'out', format: jsonl() })],
});
