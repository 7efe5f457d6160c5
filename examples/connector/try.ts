import { createServer } from 'node:http';
import { trySink, trySource } from 'millrace/connect/testing';
import { ledgerSink, type Ledger } from './ledger-sink.ts';
import ticketsPlugin, { tickets } from './tickets-source.ts';

const all = Array.from({ length: 45 }, (_, index) => {
  return { id: index + 1, title: `ticket ${index + 1}` };
});
const server = createServer((request, response) => {
  const { searchParams } = new URL(request.url ?? '', 'http://localhost');
  const after = Number(searchParams.get('after'));
  const page = all.slice(after, after + Number(searchParams.get('limit')));
  response.setHeader('connection', 'close').end(JSON.stringify(page));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as { readonly port: number };

const config = { url: `http://127.0.0.1:${port}`, pageSize: 10, token: undefined };
const source = await trySource({
  source: () => ticketsPlugin.create(config, { name: 'tickets' }),
  expected: all.map(({ title }) => title),
  describe: ({ value }) => (value as { readonly title: string }).title,
});
process.stdout.write(`tickets-source: ${source.steps.length} crashes\n`);

const ledger: Ledger = { titles: new Map(), offsets: [] };
const sink = await trySink({
  sink: () => ledgerSink(ledger),
  topic: tickets,
  records: all.map((value) => ({ key: String(value.id), value })),
  read: () => [...ledger.titles.values()],
  expected: all.map(({ title }) => title),
  reset: () => void Object.assign(ledger, { titles: new Map(), offsets: [] }),
});
process.stdout.write(`ledger: ${sink.steps.length} crashes\n`);
server.close();
