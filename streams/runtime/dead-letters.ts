import { bytes, type Header, type Headers, type LogConfig } from '../../core/index.ts';
import { asBuffer, show } from '../../core/internal.ts';
import type { TopicSpec } from '../topology/node.ts';
import type { ErrorStage, RecordFailure } from '../topology/record-errors.ts';
import { MESSAGE_BYTES_MAX } from './topics.ts';

/** What a dead letter tells of its failure. */
export interface DeadLetter {
  /** The record as it was read; null also where nothing was. */
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** The time that the record had in the log. */
  readonly timestampMs: number;
  /** Those of the record: if it was a dead letter itself, also those of its failure. */
  readonly headers: Headers;
  /** Where the record was read; undefined if it comes of no single record. */
  readonly source:
    { readonly topic: string; readonly partition: number; readonly offset: number } | undefined;
  readonly stage: ErrorStage | undefined;
  /** The name of the node, and of its task. */
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

const PREFIX = '__streams.errors.';
/**
 * Kafka Streams' headers (KIP-1034, ExceptionHandlerUtils.java), in its order; the last row is
 * ours. The first one begins the headers of a failure: a dead letter that fails has those of both.
 */
const HEADERS = {
  ...{ error: 'exception', message: 'message', stack: 'stacktrace' },
  ...{ topic: 'topic', partition: 'partition', offset: 'offset' },
  ...{ code: 'code', stage: 'stage', node: 'node', taskId: 'task', record: 'record' },
} as const;
type HeaderName = keyof typeof HEADERS;

/** Bounds messages and stacks: the cause of a failure may quote a whole record. */
const TEXT_MAX = 16_384;

/** Settings of a new topic of dead letters, which keeps them, whatever their size. */
const CONFIG: Partial<LogConfig> = {
  cleanupPolicy: 'delete',
  retentionMs: -1,
  maxMessageBytes: MESSAGE_BYTES_MAX,
};

export function deadLetterTopic(name: string): TopicSpec {
  return { name, key: bytes(), value: bytes(), partitions: undefined, config: CONFIG };
}

/**
 * The headers of a dead letter: those of the record, and what failed.
 *
 * @param source what was read, if its bytes are known; otherwise the record is told as text.
 */
export function deadLetterHeaders(
  failure: RecordFailure,
  source: { readonly headers: Headers } | undefined,
): Headers {
  const { error, node, taskId, stage, topic, partition, offset, record } = failure;
  const { headers } = source ?? failure;
  const { code } = error as { readonly code?: unknown };
  const isKnown = topic !== '';
  const fields: Partial<Record<HeaderName, string | undefined>> = {
    error: error.constructor.name || error.name,
    message: error.message,
    stack: error.stack,
    ...(isKnown && { topic, partition: String(partition), offset: String(offset) }),
    code: typeof code === 'string' ? code : undefined,
    ...{ stage, node, taskId },
    record: source !== undefined || record === undefined ? undefined : textOf(record),
  };
  const added = (Object.keys(HEADERS) as HeaderName[]).flatMap((name): Header[] => {
    const text = fields[name];
    if (text === undefined) return [];
    return [{ key: PREFIX + HEADERS[name], value: Buffer.from(text.slice(0, TEXT_MAX)) }];
  });
  return [...headers, ...added];
}

/**
 * What a record of a topic of dead letters tells, also one that Kafka Streams has written: it lacks
 * node, task, stage and code. Of a dead letter that has failed as a record, this is the last
 * failure; its `headers` still have the one before.
 */
export function parseDeadLetter({ key, value, timestampMs, headers }: RawRecord): DeadLetter {
  const own: Header[] = [];
  const fields = new Map<string, string>();
  const start = headers.findLastIndex((header) => header.key === PREFIX + HEADERS.error);
  for (const [index, header] of headers.entries()) {
    if (index < start || !header.key.startsWith(PREFIX)) own.push(header);
    else if (header.value !== null) {
      fields.set(header.key, asBuffer(header.value).toString('utf8')); // the last one counts
    }
  }
  const text = (name: HeaderName): string | undefined => fields.get(PREFIX + HEADERS[name]);
  const [topic, partition, offset] = [text('topic'), text('partition'), text('offset')];
  const isKnown = topic !== undefined && partition !== undefined && offset !== undefined;
  return {
    key: key && asBuffer(key),
    value: value && asBuffer(value),
    timestampMs,
    headers: own,
    source: isKnown ? { topic, partition: Number(partition), offset: Number(offset) } : undefined,
    stage: text('stage') as ErrorStage | undefined,
    node: text('node'),
    taskId: text('taskId'),
    error: text('error'),
    code: text('code'),
    message: text('message'),
    stack: text('stack'),
    record: text('record'),
  };
}

/** Key and value for people: no bytes are known that could be written instead. */
function textOf({ key, value, timestampMs }: NonNullable<RecordFailure['record']>): string {
  try {
    return JSON.stringify({ key, value, timestampMs });
  } catch {
    return `${safely(key)}: ${safely(value)} at ${timestampMs}`; // it has a bigint, or a cycle
  }
}

function safely(value: unknown): string {
  try {
    return show(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
