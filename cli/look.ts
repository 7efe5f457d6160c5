import { InvalidArgumentError, type Command } from 'commander';
import { LogError, viewLog, type LogView, type RecordView } from '../core/index.ts';
import { readable, shown, timeText } from './readable.ts';
import { count, print, printJson } from './verify.ts';

/** Prints the topics of a log, and the first and next offset of each partition. */
export async function topicsCommand(directory: string, flags: { json?: boolean }): Promise<void> {
  const view = await viewLog(directory);
  for (const { topic, config, partitions } of await view.topics()) {
    if (flags.json === true) {
      printJson({ topic, config, partitions });
      continue;
    }
    const settings = Object.entries(config).map(([name, value]) => `${name}=${value}`);
    print([topic, ...settings].join('  '));
    for (const { partition, firstOffset, nextOffset, segments, bytes } of partitions) {
      const range = `offsets ${firstOffset} to ${nextOffset}`;
      print(`  ${partition}: ${range}, ${count(segments)} segments, ${count(bytes)} bytes`);
    }
  }
}

/** Prints the committed offsets of groups, and how far they are behind the end. */
export async function groupsCommand(directory: string, flags: { json?: boolean }): Promise<void> {
  const view = await viewLog(directory);
  for (const group of await view.groups()) {
    const { groupId, topic, partition, offset, lag } = group;
    const behind = lag === undefined ? 'the partition is gone' : `lag ${count(lag)}`;
    if (flags.json === true) printJson({ ...group, lag: lag ?? null });
    else print(`${groupId}  ${topic}-${partition}: offset ${offset}, ${behind}`);
  }
}

/** The flags of `millrace dump`. */
export interface DumpFlags {
  readonly from: number;
  readonly max: number;
  readonly json?: boolean;
}

/** The data directory if none is given. */
const DATA_DIRECTORY = './data';

/**
 * Prints the records of a topic, or of one of its partitions. With two arguments the first is the
 * directory; a single one is the topic.
 */
export async function dumpCommand(
  first: string | undefined,
  second: string | undefined,
  flags: DumpFlags,
  command: Command,
): Promise<void> {
  const place = second ?? first;
  // A path in place of the topic is a directory whose topic was forgotten.
  if (place === undefined || (second === undefined && /[/\\]/.test(place))) {
    command.error("error: missing required argument 'topic'");
  }
  const view = await viewLog(second === undefined ? DATA_DIRECTORY : first!);
  let left = flags.max;
  for (const { topic, partition } of await placesOf(view, place)) {
    if (left <= 0) return;
    for await (const record of view.records(topic, partition, flags.from)) {
      printRecord(`${topic}-${partition}`, record, flags.json === true);
      if (--left <= 0) break;
    }
  }
}

/** Parses a count or an offset from a flag. */
export function wholeNumber(value: string): number {
  if (/^\d{1,15}$/.test(value)) return Number(value);
  throw new InvalidArgumentError('It must be a whole number, 0 or more.');
}

/** `orders` is a topic; `orders-1` is one of its partitions, unless a topic has that very name. */
async function placesOf(
  view: LogView,
  place: string,
): Promise<readonly { readonly topic: string; readonly partition: number }[]> {
  const topics = await view.topics();
  const found = topics.find(({ topic }) => topic === place);
  if (found !== undefined) return found.partitions;
  const partitions = topics.flatMap((topic) => topic.partitions);
  const one = partitions.filter(({ topic, partition }) => `${topic}-${partition}` === place);
  if (one.length > 0) return one;
  const names = topics.map(({ topic }) => topic).join(', ') || 'none';
  const message = `there is no topic or partition ${place}; there are ${names}`;
  throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic: place });
}

function printRecord(place: string, record: RecordView, isJson: boolean): void {
  const { offset, timestampMs, marker } = record;
  const [key, value] = [readable(record.key), readable(record.value)];
  const headers = record.headers.map((header) => [header.key, readable(header.value)]);
  if (isJson) {
    const kind = marker === undefined ? {} : { marker };
    printJson({ partition: place, offset, timestampMs, key, value, headers, ...kind });
    return;
  }
  const time = timeText(timestampMs);
  const what = marker === undefined ? `${shown(key)}  ${shown(value)}` : `(${marker} marker)`;
  const more = headers.map(([name, header]) => `  ${String(name)}=${shown(header)}`).join('');
  print(`${place}  ${offset}  ${time}  ${what}${more}`);
}
