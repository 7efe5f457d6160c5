import { runJava, TEST_JAVA } from './java.ts';

/** A file as `kafka-dump-log` shows it. */
export interface DumpedFile {
  readonly file: string;
  /** The lines about it. */
  readonly lines: readonly string[];
}

/** The output of the tool: the lines of each file, and the rest. */
export interface Dump {
  readonly files: readonly DumpedFile[];
  /** All complaints, and all other lines that are not known to be sound. */
  readonly complaints: readonly string[];
}

/** The lines that are no complaint: the content of the files. */
const SOUND = [
  /^Log starting offset: \d+$/,
  /^baseOffset: .* isvalid: true$/, // a batch
  /^\| offset: /, // a record
  /^offset: \d+ position: \d+$/, // .index
  /^timestamp: \d+ offset: \d+$/, // .timeindex
  /^version: 0 producerId: \d+ firstOffset: \d+ lastOffset: \d+ lastStableOffset: \d+$/,
  /^producerId: \d+ producerEpoch: \d+ /, // .snapshot
  /\.index is empty\.$/,
  /passed sanity check\.$/,
];

/**
 * Runs Kafka's `DumpLogSegments`, which always exits with 0. Known bug: since its port to Java it
 * compares the first offset of a file with -1, so it reports a gap before any file that does not
 * begin with 0.
 */
export async function dumpLog(
  files: readonly string[],
  ...options: readonly string[]
): Promise<Dump> {
  const tool = 'org.apache.kafka.tools.DumpLogSegments';
  const text = await runJava(TEST_JAVA, tool, ...options, '--files', files.join(','));
  const known = /^Non-consecutive offsets in .*\n(?: {2}-1 is followed by \d+\n)+/gm;
  const found: { file: string; lines: string[] }[] = [];
  const complaints: string[] = [];
  for (const line of text.replace(known, '').split('\n')) {
    const file = /^Dumping (.*)$/.exec(line)?.[1];
    if (file !== undefined) found.push({ file, lines: [] });
    else if (SOUND.some((pattern) => pattern.test(line))) found.at(-1)?.lines.push(line);
    else if (line !== '') complaints.push(line);
  }
  return { files: found, complaints };
}

/** A record as `--print-data-log` shows it. */
export interface DumpedRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly sequence: number;
  readonly headerKeys: string;
  readonly key: string | null;
  readonly value: string | null;
  /** COMMIT or ABORT. */
  readonly marker: string | undefined;
  /** The numbers and flags of its batch, by name. */
  readonly batch: Readonly<Record<string, string>>;
}

/** The records of a `.log`. Keys and values must not look like the tool's own words. */
export function recordsOf({ lines }: DumpedFile): DumpedRecord[] {
  const records: DumpedRecord[] = [];
  let batch: Record<string, string> = {};
  for (const line of lines) {
    if (!line.startsWith('| ')) {
      const fields = line.matchAll(/(\w+): (\S+)/g);
      batch = Object.fromEntries([...fields].map(([, name = '', value = '']) => [name, value]));
      continue;
    }
    const field = (name: string): string =>
      new RegExp(` ${name}: (\\S+)`).exec(line)?.[1] ?? `no ${name}`;
    const marker = /endTxnMarker: (\w+)/.exec(line)?.[1];
    const text = /headerKeys: \[(.*?)\](?: key: (.*?))?(?: payload: (.*))?$/.exec(line);
    records.push({
      offset: Number(field('offset')),
      timestampMs: Number(field('CreateTime')),
      sequence: Number(field('sequence')),
      headerKeys: text?.[1] ?? '',
      key: field('keySize') === '-1' ? null : (text?.[2] ?? ''),
      value: field('valueSize') === '-1' ? null : (text?.[3] ?? ''),
      marker,
      batch,
    });
  }
  return records;
}
