/**
 * A program that imports `in/*.csv` into a log and exports it to `out`, and kills itself at the
 * requested point: the n-th time a commit takes a step, or the n-th call of the file system.
 *
 *     node connect-process.js <directory> [<step or "call"> <n>]
 */
import { join } from 'node:path';
import { json, nodeFileSystem, openLog, string, topic } from '../../core/index.ts';
import { csv, fileSink, fileSource, jsonl, SinkRunner, SourceRunner } from '../../connect/index.ts';
import { FaultyFileSystem } from './faulty-fs.ts';

const [directory = '', killAt = '', nth = '0'] = process.argv.slice(2);
const COMMIT_RECORDS = 50;

let left = Number(nth);
function reach(place: string): void {
  if (place === killAt && --left === 0) process.kill(process.pid, 'SIGKILL');
}
const onStep = (step: string): void => reach(step);
const fileSystem = new FaultyFileSystem(() => {
  reach('call');
  return undefined;
}, nodeFileSystem);

interface Row {
  readonly id: string;
  readonly text: string;
}
const rows = topic('rows', { key: string(), value: json<Row>(), partitions: 2 });

const log = await openLog(join(directory, 'data'), { fileSystem });
const options = { commitIntervalMs: 5, commitRecordsMax: COMMIT_RECORDS, onStep };
const source = new SourceRunner(
  log,
  fileSource({
    path: join(directory, 'in/*.csv'),
    format: csv<Row>(),
    topic: rows,
    key: ({ id }) => id,
    fileSystem,
  }),
  options,
);
const sink = new SinkRunner(
  log,
  fileSink({
    topic: rows,
    path: join(directory, 'out'),
    format: jsonl<Row>(),
    partBytes: 10_000,
    fileSystem,
  }),
  options,
);
const writing = sink.run();
process.stdout.write('running\n');
const { isEnded } = await source.run();
await sink.finish();
await writing;
await log.close();
process.stdout.write(isEnded ? 'done\n' : 'stopped\n');
