/**
 * A program that mirrors one log into another, and kills itself the n-th time a commit takes a
 * step.
 *
 *     node mirror-process.js <directory> [<step> <n>]
 *
 * The first run fills the source: with transactions, every third of which is aborted.
 */
import { join } from 'node:path';
import { json, openLog, string, topic } from '../../core/index.ts';
import { mirror, SourceRunner } from '../../connect/index.ts';

const RECORDS = 900;
const IN_TRANSACTION = 10;
const [directory = '', killAt = '', nth = '0'] = process.argv.slice(2);
const rows = topic('rows', { key: string(), value: json<number>(), partitions: 30 });

const from = await openLog(join(directory, 'from'));
if (!(await from.admin().listTopics()).includes('rows')) {
  const producer = from.producer({ transactionalId: 'writer' });
  for (let first = 0; first < RECORDS; first += IN_TRANSACTION) {
    const transaction = await producer.beginTransaction();
    for (let id = first; id < first + IN_TRANSACTION; id++) {
      transaction.send(rows, { key: `k${id}`, value: id, partition: id % 30 });
    }
    const isKept = (first / IN_TRANSACTION) % 3 !== 2;
    await (isKept ? transaction.commit() : transaction.abort());
  }
  await producer.close();
}
let left = Number(nth);
const to = await openLog(join(directory, 'to'));
const runner = new SourceRunner(to, mirror({ from, alias: 'primary', follow: false }), {
  commitRecordsMax: 50,
  onStep: (step) => {
    if (step === killAt && --left === 0) process.kill(process.pid, 'SIGKILL');
  },
});
await runner.run();
await to.close();
await from.close();
process.stdout.write('done\n');
