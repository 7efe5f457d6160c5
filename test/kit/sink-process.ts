/**
 * A program that writes a topic to files and kills itself the n-th time a commit takes a step.
 *
 *     node sink-process.js <directory> <kind> [<step> <n>]
 */
import { join } from 'node:path';
import { json, openLog, string, topic } from '../../core/index.ts';
import { fileSink, jsonl, parquet, SinkRunner } from '../../connect/index.ts';

interface Row {
  readonly id: number;
  readonly text: string;
}
const ROWS = 1_000;
const COMMIT_RECORDS = 50;

const KINDS = {
  text: { format: jsonl<Row>(), partBytes: 2_000 },
  gzip: { format: jsonl<Row>(), partBytes: 2_000, compression: 'gzip' },
  clock: { format: jsonl<Row>(), partMs: 3, compression: 'zstd' },
  layout: { format: jsonl<Row>(), partRecords: 20, layout: '{field:text}/{partition}' },
  parquet: { format: parquet(), partRecords: 30 },
} as const;

const [directory = '', kind = 'text', killAt = '', nth = '0'] = process.argv.slice(2);
const rows = topic('rows', { key: string(), value: json<Row>(), partitions: 2 });

let left = Number(nth);
const log = await openLog(join(directory, 'data'));
await log.admin().ensureTopic(rows);
const { latest = 0 } = (await log.admin().offsets('rows'))[0] ?? {};
if (latest === 0) {
  const producer = log.producer();
  const all = Array.from({ length: ROWS }, (_, id) => {
    return { key: 'k', value: { id, text: `ä${id % 3}` }, partition: id % 2 };
  });
  await producer.sendAll(rows, all);
}
const options = { topic: rows, path: join(directory, 'out'), ...KINDS[kind as keyof typeof KINDS] };
const sink = new SinkRunner(log, fileSink(options), {
  commitRecordsMax: COMMIT_RECORDS,
  onStep: (step) => {
    if (step === killAt && --left === 0) process.kill(process.pid, 'SIGKILL');
  },
});
await sink.finish();
await log.close();
process.stdout.write('done\n');
