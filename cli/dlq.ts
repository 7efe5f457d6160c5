import {
  LogError,
  openLog,
  parseDeadLetter,
  replayDeadLetters,
  silentLogger,
  viewLog,
  type DeadLetter,
  type LogView,
} from '../core/index.ts';
import { keepWorking } from './closed-output.ts';
import { readable, shown, timeText } from './readable.ts';
import { count, print, printJson } from './verify.ts';

/** Which dead letters a command is about. */
export interface ChoiceFlags {
  readonly data: string;
  readonly node?: string;
  readonly error?: string;
  readonly from: number;
  readonly to: number;
  readonly json?: boolean;
}

/** The flags of `millrace dlq replay`. */
export interface ReplayFlags extends ChoiceFlags {
  readonly group?: string;
  readonly dryRun?: boolean;
}

/** A dead letter, and where it is. */
interface Found extends DeadLetter {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** The end of the names that applications give their topics by themselves. */
const SUFFIX = '-dead-letters';

/** Prints a line for each dead letter of a topic, or of all topics named as by default. */
export async function dlqListCommand(topic: string | undefined, flags: ChoiceFlags): Promise<void> {
  const view = await viewLog(flags.data);
  let total = 0;
  for (const name of await topicsOf(view, topic)) {
    for await (const letter of lettersOf(view, name)) {
      if (!isChosen(letter, flags)) continue;
      total++;
      if (flags.json === true) printJson(asJson(letter));
      else print(lineOf(letter));
    }
  }
  if (flags.json !== true) print(total === 1 ? '1 dead letter' : `${count(total)} dead letters`);
}

/** Prints everything about one dead letter. */
export async function dlqShowCommand(
  place: string,
  flags: Pick<ChoiceFlags, 'data' | 'json'>,
): Promise<void> {
  const view = await viewLog(flags.data);
  const { topic, partition, offset } = await parsePlace(view, place);
  for await (const record of view.committed(topic, partition, offset)) {
    if (record.offset !== offset) break;
    const letter = { ...parseDeadLetter(record), topic, partition, offset };
    if (flags.json === true) printJson({ ...asJson(letter), ...contentOf(letter) });
    else for (const line of linesOf(letter)) print(line);
    return;
  }
  throw badPlace(place, 'there is no dead letter');
}

/** Sends dead letters back to where they came from, each once. */
export async function dlqReplayCommand(topic: string, flags: ReplayFlags): Promise<void> {
  const { data, node, error, from, to, group, dryRun = false, json = false } = flags;
  if (!dryRun) keepWorking();
  await using log = await openLog(data, { logger: silentLogger });
  const verb = dryRun ? 'would replay' : 'replayed';
  const replay = await replayDeadLetters(log, topic, {
    ...{ from, dryRun },
    ...(Number.isFinite(to) && { to }),
    ...(node !== undefined && { node }),
    ...(error !== undefined && { error }),
    ...(group !== undefined && { groupId: group }),
    onLetter: (letter) => {
      if (json)
        printJson({ type: dryRun ? 'would-replay' : 'replayed', ...asJson({ ...letter, topic }) });
      else print(`${verb}: ${lineOf({ ...letter, topic })}`);
    },
    onLeftOut: (letter, reason) => {
      if (json) printJson({ type: 'left-out', reason, ...asJson({ ...letter, topic }) });
      else print(`cannot replay: ${lineOf({ ...letter, topic })}: ${reason}`);
    },
  });
  if (json) {
    printJson({ type: 'summary', ...replay });
    return;
  }
  const { replayed, replayedBefore, leftOut } = replay;
  const before = `${count(replayedBefore)} were replayed before`;
  print(`${verb} ${count(replayed)}; ${before}, ${count(leftOut)} cannot be`);
}

/** @throws LogError UNKNOWN_TOPIC_OR_PARTITION */
async function topicsOf(view: LogView, wanted: string | undefined): Promise<string[]> {
  const topics = (await view.topics()).map(({ topic }) => topic);
  const found = topics.filter((name) =>
    wanted === undefined ? name.endsWith(SUFFIX) : name === wanted,
  );
  if (found.length > 0 || wanted === undefined) return found;
  const message = `there is no topic ${wanted}; there are ${topics.join(', ') || 'none'}`;
  throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic: wanted });
}

async function* lettersOf(view: LogView, topic: string): AsyncGenerator<Found> {
  const found = (await view.topics()).find((each) => each.topic === topic);
  for (const { partition } of found?.partitions ?? []) {
    for await (const record of view.committed(topic, partition)) {
      yield { ...parseDeadLetter(record), topic, partition, offset: record.offset };
    }
  }
}

function isChosen(letter: Found, { node, error, from, to }: ChoiceFlags): boolean {
  if (letter.offset < from || letter.offset > to) return false;
  if (node !== undefined && letter.node !== node) return false;
  return error === undefined || letter.error === error || letter.code === error;
}

/** `orders-dead-letters-0@12`: topic, partition and offset, as `list` prints them. */
async function parsePlace(
  view: LogView,
  place: string,
): Promise<{ readonly topic: string; readonly partition: number; readonly offset: number }> {
  const parts = /^([\w.-]+)-(\d+)@(\d+)$/.exec(place);
  if (parts === null) throw badPlace(place, 'it must be like orders-dead-letters-0@12');
  const [, topic = '', partition, offset] = parts;
  await topicsOf(view, topic);
  return { topic, partition: Number(partition), offset: Number(offset) };
}

function badPlace(place: string, reason: string): LogError {
  const allowed = 'the place of a dead letter, as millrace dlq list prints it';
  const message = `${place}: ${reason}; millrace dlq list prints those that there are`;
  return new LogError('INVALID_OPTION', message, { option: 'place', value: place, allowed });
}

function lineOf(letter: Found): string {
  const { topic, partition, offset, timestampMs, node, error, message, code } = letter;
  const from = letter.source;
  const elsewhere = letter.place === undefined ? 'of no single record' : `of ${letter.place}`;
  const origin =
    from === undefined ? elsewhere : `of ${from.topic}-${from.partition}@${from.offset}`;
  const what = `${error ?? 'Error'}${code === undefined ? '' : ` (${code})`}`;
  const text = firstLine(message ?? '');
  const where = node === undefined ? '' : `  at ${node}`;
  const place = `${topic}-${partition}@${offset}  ${timeText(timestampMs)}`;
  return `${place}  ${origin}${where}  ${what}: ${text}`;
}

function linesOf(letter: Found): string[] {
  const { key, value, headers, stage, taskId, stack, record } = letter;
  return [
    lineOf(letter),
    ...(stage === undefined
      ? []
      : [`stage: ${stage}${taskId === undefined ? '' : `, task ${taskId}`}`]),
    `key: ${shown(readable(key))}`,
    `value: ${shown(readable(value))}`,
    ...(record === undefined ? [] : [`record: ${record}`]),
    ...headers.map((header) => `header ${header.key}: ${shown(readable(header.value))}`),
    ...(stack === undefined ? [] : [stack]),
  ];
}

function asJson(letter: Found): object {
  const { topic, partition, offset, timestampMs, source, place, stage, node, taskId } = letter;
  const { error, code, message } = letter;
  return {
    ...{
      topic,
      partition,
      offset,
      timestampMs,
      source: source ?? null,
      place,
      stage,
      node,
      taskId,
    },
    ...{ error, code, message },
  };
}

function contentOf({ key, value, headers, stack, record }: Found): object {
  return {
    key: readable(key),
    value: readable(value),
    headers: headers.map((header) => [header.key, readable(header.value)]),
    ...{ stack, record },
  };
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
