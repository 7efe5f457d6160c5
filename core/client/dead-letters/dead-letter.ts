import type { LogConfig } from '../../log/log-config.ts';
import { show } from '../../options.ts';
import type { Header, Headers } from '../../record/record.ts';
import { asBuffer } from '../../serde/serde.ts';

/** What a dead letter tells of its failure. */
export interface DeadLetter {
  /** The record as it was read; null also where nothing was. */
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** The time that the record had in the log. */
  readonly timestampMs: number;
  /** Those of the record: if it was a dead letter itself, also those of its failure. */
  readonly headers: Headers;
  /** Where the record was read; undefined if it comes of no single record of a topic. */
  readonly source:
    { readonly topic: string; readonly partition: number; readonly offset: number } | undefined;
  /** Where a source connector read it, outside of the log: `flights.csv, line 7`. */
  readonly place: string | undefined;
  /** What was done with it, in the words of streams or of Kafka Connect: `VALUE_CONVERTER`. */
  readonly stage: string | undefined;
  /** The name of the node, or of the connector, and of its task. */
  readonly node: string | undefined;
  readonly taskId: string | undefined;
  /** The class of the error, and its code if it has one. */
  readonly error: string | undefined;
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly stack: string | undefined;
  /** The failed record as text, if no bytes are known. */
  readonly record: string | undefined;
}

/** A record of a topic of dead letters, as consumers get it. */
export interface RawRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly timestampMs: number;
  readonly headers: Headers;
}

/**
 * Kafka Streams' headers (KIP-1034, ExceptionHandlerUtils.java), in its order; the last row is
 * ours. The first one begins the headers of a failure: a dead letter that fails has those of both.
 */
const STREAMS = {
  prefix: '__streams.errors.',
  names: {
    ...{ error: 'exception', message: 'message', stack: 'stacktrace' },
    ...{ topic: 'topic', partition: 'partition', offset: 'offset' },
    ...{ code: 'code', stage: 'stage', node: 'node', taskId: 'task', record: 'record' },
  },
} as const;

/**
 * Kafka Connect's headers (KIP-298, DeadLetterQueueReporter.java), in its order; the last row is
 * ours, and so is what tells where a source stood: `file`, `line`, `byte`.
 */
const CONNECT = {
  prefix: '__connect.errors.',
  names: {
    ...{ topic: 'topic', partition: 'partition', offset: 'offset' },
    ...{ node: 'connector.name', taskId: 'task.id', stage: 'stage', class: 'class.name' },
    ...{ error: 'exception.class.name', message: 'exception.message' },
    ...{ stack: 'exception.stacktrace' },
    ...{ code: 'code', record: 'record', place: 'place' },
  },
} as const;

/** What the headers of a failure tell; what is undefined has no header. */
export type StreamsFailureFields = Readonly<
  Partial<Record<keyof typeof STREAMS.names, string | undefined>>
>;
/** The same of a connector. */
export type ConnectFailureFields = Readonly<
  Partial<Record<keyof typeof CONNECT.names, string | undefined>>
>;

/** Bounds messages and stacks: the cause of a failure may quote a whole record. */
const TEXT_MAX = 16_384;

/** Dead letters are written for records of any size, so their batches may be larger than others. */
export const LETTER_BYTES_MAX = 16 * 1024 * 1024;

/** Settings of a new topic of dead letters, which keeps them, whatever their size. */
export const DEAD_LETTER_CONFIG: Partial<LogConfig> = {
  cleanupPolicy: 'delete',
  retentionMs: -1,
  maxMessageBytes: LETTER_BYTES_MAX,
};

/** The headers of a failure in streams; those of the record stand before them. */
export function streamsFailureHeaders(fields: StreamsFailureFields): Header[] {
  return headersOf(STREAMS, fields);
}

/**
 * The headers of a failure of a connector; those of the record stand before them.
 *
 * @param position where a source stood, such as `{ file, line }`: a header each.
 */
export function connectFailureHeaders(
  fields: ConnectFailureFields,
  position: Readonly<Record<string, string | number>> = {},
): Header[] {
  const { prefix, names } = CONNECT;
  const known: ReadonlySet<string> = new Set(Object.values(names));
  const places = Object.entries(position).flatMap(([name, value]) => {
    return known.has(name) ? [] : [header(prefix + name, String(value))];
  });
  return [...headersOf(CONNECT, fields), ...places];
}

/** The text of an error's class, code, message and stack, as headers tell it. */
export function errorFields(error: Error): {
  readonly error: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
} {
  const { code } = error as { readonly code?: unknown };
  return {
    error: error.constructor.name || error.name,
    message: error.message,
    stack: error.stack,
    code: typeof code === 'string' ? code : undefined,
  };
}

/**
 * What a record of a topic of dead letters tells: one of streams or of a connector, also one that
 * Kafka Streams or Kafka Connect has written, which lack some of it. Of a dead letter that has
 * failed as a record, this is the last failure; its `headers` still have the one before.
 */
export function parseDeadLetter({ key, value, timestampMs, headers }: RawRecord): DeadLetter {
  const ofStreams = startOfStreams(headers);
  const ofConnect = startOfConnect(headers);
  const { prefix, names } = ofConnect > ofStreams ? CONNECT : STREAMS;
  const start = Math.max(ofConnect, ofStreams);
  const own: Header[] = [];
  const fields = new Map<string, string>();
  for (const [index, header] of headers.entries()) {
    if (index < start || !header.key.startsWith(prefix)) own.push(header);
    else if (header.value !== null) {
      fields.set(header.key, asBuffer(header.value).toString('utf8')); // the last one counts
    }
  }
  const text = (name: keyof typeof STREAMS.names | 'place'): string | undefined => {
    const header = (names as Readonly<Record<string, string>>)[name];
    return header === undefined ? undefined : fields.get(prefix + header);
  };
  const [topic, partition, offset] = [text('topic'), text('partition'), text('offset')];
  const isKnown = topic !== undefined && partition !== undefined && offset !== undefined;
  return {
    key: key && asBuffer(key),
    value: value && asBuffer(value),
    timestampMs,
    headers: own,
    source: isKnown ? { topic, partition: Number(partition), offset: Number(offset) } : undefined,
    place: text('place'),
    stage: text('stage'),
    node: text('node'),
    taskId: text('taskId'),
    error: text('error'),
    code: text('code'),
    message: text('message'),
    stack: text('stack'),
    record: text('record'),
  };
}

/** A record for people, where no bytes are known that could be written instead. */
export function recordText(record: {
  readonly key: unknown;
  readonly value: unknown;
  readonly timestampMs: number | undefined;
}): string {
  const { key, value, timestampMs } = record;
  try {
    return JSON.stringify({ key, value, timestampMs });
  } catch {
    return `${safely(key)}: ${safely(value)} at ${String(timestampMs)}`; // a bigint, or a cycle
  }
}

/** Where the headers of the last failure in streams begin; -1 without one. */
function startOfStreams(headers: Headers): number {
  return headers.findLastIndex(({ key }) => key === STREAMS.prefix + STREAMS.names.error);
}

/** The same of a connector: what it read, if that was a record, stands before its name. */
function startOfConnect(headers: Headers): number {
  const { prefix, names } = CONNECT;
  const before = [names.topic, names.partition, names.offset].map((name) => prefix + name);
  let start = headers.findLastIndex(({ key }) => key === prefix + names.node);
  while (start > 0 && before.includes(headers[start - 1]!.key)) start--;
  return start;
}

function headersOf(
  { prefix, names }: { readonly prefix: string; readonly names: Readonly<Record<string, string>> },
  fields: Readonly<Record<string, string | undefined>>,
): Header[] {
  return Object.entries(names).flatMap(([field, name]): Header[] => {
    const text = fields[field];
    return text === undefined ? [] : [header(prefix + name, text)];
  });
}

function header(key: string, text: string): Header {
  return { key, value: Buffer.from(text.slice(0, TEXT_MAX)) };
}

function safely(value: unknown): string {
  try {
    return show(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
