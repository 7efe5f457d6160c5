/**
 * A program that writes a topic to a table and kills itself the n-th time a commit takes a step.
 *
 *     node sql-process.js <directory> <sqlite | port of PostgreSQL> [<step> <n>]
 *
 * The table has no key: a record that is written twice is there twice.
 */
import { join } from 'node:path';
import { json, openLog, string, topic } from '../../core/index.ts';
import { postgresSink, SinkRunner, sqliteSink } from '../../connect/index.ts';

interface Row {
  readonly id: number;
  readonly text: string;
}
const ROWS = 1_000;
const COMMIT_RECORDS = 50;
const [directory = '', database = '', killAt = '', nth = '0'] = process.argv.slice(2);
const rows = topic('rows', { key: string(), value: json<Row>(), partitions: 20 });

let left = Number(nth);
const log = await openLog(join(directory, 'data'));
await log.admin().ensureTopic(rows);
const { latest = 0 } = (await log.admin().offsets('rows'))[0] ?? {};
if (latest === 0) {
  const producer = log.producer();
  const all = Array.from({ length: ROWS }, (_, id) => {
    return { key: 'k', value: { id, text: `ä${id % 3}` }, partition: id % 20 };
  });
  await producer.sendAll(rows, all);
}
const options = { topic: rows, create: { id: 'INTEGER', text: 'TEXT' } };
const connection = { host: '127.0.0.1', port: Number(database), user: 'tester', database: 'test' };
const connector =
  database === 'sqlite'
    ? sqliteSink({ ...options, path: join(directory, 'out.db') })
    : postgresSink({ ...options, connection });
const sink = new SinkRunner(log, connector, {
  commitRecordsMax: COMMIT_RECORDS,
  onStep: (step) => {
    if (step === killAt && --left === 0) process.kill(process.pid, 'SIGKILL');
  },
});
await sink.finish();
await log.close();
process.stdout.write('done\n');
