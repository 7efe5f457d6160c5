/**
 * How fast is compaction? The log holds JSON of about 100 bytes under keys of about 12, in batches
 * of 16 KB and segments of 4 MB: most records replaced later, none replaced, or compressed with
 * lz4. Compaction reads everything twice, for the keys and for the records. The floor copies the
 * same files once, checks nothing, and syncs at the end. Rates are bytes of the log: 1 M/s is 1
 * MB/s.
 */
import {
  closeSync,
  fdatasyncSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { openLog, string, systemClock, topic, type Clock, type Codec, type Log } from 'millrace';
import { benchSettings, compare, timed, type Contender, type Measured } from './harness.ts';

const settings = benchSettings(1_000_000);
const COPY_BYTES = 1024 * 1024;
/** Yields several segments, even with compression. */
const SEGMENT_BYTES = settings.records * 4;
/** Runs housekeeping a hundred times as often: it looks at the log after 150 ms. */
const HASTY: Clock = {
  ...systemClock,
  setBackgroundTimer: (delayMs, callback) => systemClock.setTimer(delayMs / 100, callback),
};

interface Kind {
  readonly name: string;
  readonly keys: number;
  readonly codec: Codec;
}

const KINDS: readonly Kind[] = [
  { name: '1 % of the records stay', keys: settings.records / 100, codec: 'none' },
  { name: 'half of them stay', keys: settings.records / 2, codec: 'none' },
  { name: 'all of them stay', keys: settings.records, codec: 'none' },
  { name: '1 % stay, lz4', keys: settings.records / 100, codec: 'lz4' },
  { name: 'half stay, lz4', keys: settings.records / 2, codec: 'lz4' },
];

function table() {
  const config = { cleanupPolicy: 'compact' as const, segmentBytes: SEGMENT_BYTES };
  return topic('table', { key: string(), value: string(), partitions: 1, config });
}

async function fill(directory: string, { keys, codec }: Kind): Promise<void> {
  await using log = await openLog(directory);
  const handle = table();
  const producer = log.producer({ acks: 1, compressionType: codec });
  const records = Array.from({ length: settings.records }, (_, index) => {
    const key = `key ${String((index * 7919) % keys).padStart(8, '0')}`;
    const value = JSON.stringify({ index, origin: 'ATL', destination: 'SFO', delay: index % 200 });
    return { key, value: `${value.slice(0, -1)},"note":"${key} ${index * 31}"}` };
  });
  await producer.sendAll(handle, records);
}

function segmentsIn(directory: string): string[] {
  const names = readdirSync(join(directory, 'table-0')).filter((name) => name.endsWith('.log'));
  return names.sort().map((name) => join(directory, 'table-0', name));
}

function copy(directory: string): Promise<Measured> {
  const target = openSync(join(directory, 'copy'), 'w');
  const buffer = Buffer.alloc(COPY_BYTES);
  const segments = segmentsIn(directory);
  const sizeBytes = segments.reduce((sum, path) => sum + statSync(path).size, 0);
  return timed(sizeBytes, () => {
    for (const path of segments) {
      const source = openSync(path, 'r');
      for (let read = -1; read !== 0;) {
        read = readSync(source, buffer, 0, COPY_BYTES, null);
        writeSync(target, buffer, 0, read);
      }
      closeSync(source);
    }
    fdatasyncSync(target);
    closeSync(target);
  });
}

/** Takes size and time from the log's own report. */
async function compact(directory: string): Promise<Measured> {
  let opened: Promise<Log> | undefined;
  const said = await new Promise<string>((resolve, reject) => {
    const fail = (message: string) => reject(new RangeError(message));
    const logger = { debug: resolve, info: resolve, warn: fail, error: fail };
    opened = openLog(directory, { clock: HASTY, logger });
    opened.catch(reject);
  });
  await (await opened)?.close();
  const [, sizeBytes, tookMs] = /(\d+) bytes became \d+, in (\d+) ms/.exec(said) ?? [];
  return { records: Number(sizeBytes), milliseconds: Number(tookMs) };
}

function measuring(
  name: string,
  kind: Kind,
  work: (directory: string) => Promise<Measured>,
): Contender {
  return {
    name,
    run: async (directory) => {
      await fill(directory, kind);
      return work(directory);
    },
  };
}

const floor = measuring('copy', KINDS[0]!, copy);
const compactions = KINDS.map((kind) => measuring(kind.name, kind, compact));
const notes = { segmentBytes: SEGMENT_BYTES, batchSize: 16_384 };
await compare('compaction, bytes', [floor, ...compactions], settings, notes);
