/**
 * Writes to and reads more partitions than the process has descriptors:
 * `few-descriptors-process.ts DIRECTORY write|read PARTITIONS`. `write` prints `written` and
 * continues until it is killed; `read` prints what it found, as JSON.
 */
import { readdirSync } from 'node:fs';
import { openLog, string, topic, type Log } from '../../core/index.ts';

const [directory = '', mode, partitionsText = '0'] = process.argv.slice(2);
const partitions = Number(partitionsText);
const plain = topic('plain', { key: string(), value: string(), partitions });
const moved = topic('moved', { key: string(), value: string(), partitions });
const numbers = Array.from({ length: partitions }, (_, partition) => partition);
const all = (value: string) =>
  numbers.map((partition) => ({ key: String(partition), value, partition }));

async function write(log: Log): Promise<void> {
  await using producer = log.producer();
  await using mover = log.producer({ transactionalId: 'mover' });
  for (const value of ['0', '1', '2']) {
    await producer.sendAll(plain, all(value));
    await mover.transaction((tx) => tx.sendAll(moved, all(value)));
  }
  const open = await mover.beginTransaction();
  await open.sendAll(moved, all('open'));
  await mover.flush();
  process.stdout.write('written\n');
  for (let round = 3; ; round++) await producer.sendAll(plain, all(String(round)));
}

async function read(log: Log): Promise<void> {
  let descriptors = 0;
  const found: Record<string, number> = {};
  for (const each of [plain, moved]) {
    await using consumer = log.consumer({ isolationLevel: 'read_committed' });
    const assigned = await consumer.assign(
      numbers.map((partition) => ({ topic: each, partition, offset: 0 })),
    );
    for (;;) {
      const records = await assigned.poll({ maxWaitMs: 2000 });
      if (records.length === 0) break;
      for (const { value } of records) {
        const name = `${each.name} ${value}`;
        found[name] = (found[name] ?? 0) + 1;
      }
      descriptors = Math.max(descriptors, readdirSync('/proc/self/fd').length);
    }
  }
  process.stdout.write(JSON.stringify({ found, descriptors }));
}

const log = await openLog(directory);
await (mode === 'write' ? write(log) : read(log));
await log.close();
