import { int64, json, openLog, string, topic } from 'millrace';
import { minutes, StreamsApp, StreamsBuilder, tumblingWindow } from 'millrace/streams';

const clicks = topic('clicks', { key: string(), value: json<{ page: string }>(), partitions: 4 });
const popular = topic('popular', { key: string(), value: int64() });

await using log = await openLog('./data/quick-start');

const builder = new StreamsBuilder();
builder
  .stream(clicks)
  .groupBy(({ value }) => value.page, { key: string() })
  .windowedBy(tumblingWindow({ sizeMs: minutes(1) }))
  .count({ store: 'clicks-by-page', emit: 'final' })
  .toStream()
  .map(({ key, value }) => ({ key: key.key, value }))
  .to(popular);

await log.producer({ transactionalId: 'demo' }).transaction((tx) => {
  for (const [at, page] of ['/', '/docs', '/', '/docs', '/'].entries())
    tx.send(clicks, { key: `user-${at}`, value: { page }, timestampMs: at * 1000 });
});

const app = new StreamsApp(log, builder.build(), { applicationId: 'popular-pages' });
await app.start();
await app.finish(); // no more input: closes windows; end a continuous app with close()

const results = log.consumer({ isolationLevel: 'read_committed' }).subscribe([popular]);
for (const { key, value } of await results.poll()) console.log(key, value);
