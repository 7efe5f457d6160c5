import { int64, openLog, string, topic } from 'millrace';
import { StreamsApp, StreamsBuilder } from 'millrace/streams';

const orders = topic('orders', { key: string(), value: int64(), partitions: 4 });

await using log = await openLog('./data/live-counts');
const builder = new StreamsBuilder();
const totals = builder
  .stream(orders)
  .groupByKey()
  .reduce((sum, value) => sum + value);
await using app = new StreamsApp(log, builder.build(), { applicationId: 'order-totals' });
await app.start();

const producer = log.producer();
const send = (key: string, value: number) => producer.send(orders, { key, value });
await Promise.all([send('ann', 5), send('bob', 7), send('ann', 20)]);

const store = app.store(totals); // its types come from the table
for await (const total of store.watch('ann')) if (total === 25) break; // follows each commit
console.log('ann', await store.get('ann'));
for await (const { key, value } of store.all()) console.log('all:', key, value);
