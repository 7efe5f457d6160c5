import type { JsonNumbers, Topic } from '../../core/index.ts';
import {
  callback,
  checkOptions,
  flag,
  instance,
  integer,
  JSON_NUMBERS,
  oneOf,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import type { JsonValue, SourceConnector } from '../connector.ts';
import {
  address,
  checkHeaders,
  HTTP_CHECKS,
  REQUEST_TIMEOUT_MS,
  RETRY_TIMEOUT_MS,
  type HttpOptions,
} from './http-options.ts';
import { HttpSourceTask, type HttpPage } from './http-source-task.ts';

/** What `httpSource` asks for, and how a row becomes a record. */
export interface HttpSourceOptions<Row, Cursor extends JsonValue, K, V> extends HttpOptions {
  /** Identifies the source in the log, for ever. Default: `<topic>-http`. */
  readonly name?: string;
  readonly topic: Topic<K, V>;
  /** What to get; a function makes the address of the cursor, which is undefined at first. */
  readonly url: string | URL | ((cursor: Cursor | undefined) => string | URL);
  /** The rows of a page. Default: the body, which must be an array. */
  readonly rows?: (page: HttpPage) => readonly Row[];
  /**
   * The cursor after a page, which is committed with its rows; undefined leaves it as it was.
   * Default: there is none, and each changed answer is read whole.
   */
  readonly cursor?: (page: HttpPage, before: NoInfer<Cursor> | undefined) => Cursor | undefined;
  /** The record's key, which decides its partition; null spreads the records. */
  readonly key: (row: Row) => NoInfer<K> | null;
  /** The record's value. Default: the row, if it is such a value. */
  readonly value?: (row: Row) => NoInfer<V> | null;
  /** Event time, a Date or milliseconds since 1970. Default: the time at which the row is read. */
  readonly timestamp?: (row: Row) => number | Date;
  /**
   * False: reads page after page until one does not move the cursor, then ends. True: looks again
   * after `pollIntervalMs`, until it is stopped. Default: false.
   */
  readonly follow?: boolean;
  /** With `follow`, how long to wait before asking again, in milliseconds. Default: 10,000. */
  readonly pollIntervalMs?: number;
  /** The largest answer, in bytes. Default: 64 MiB. */
  readonly bodyBytesMax?: number;
  /**
   * What becomes of numbers that a double cannot hold: `bigint` (default), `text`, `error`, or
   * `double`, which rounds them as `JSON.parse` does.
   */
  readonly numbers?: JsonNumbers;
}

const CHECKS: OptionChecks<HttpSourceOptions<unknown, JsonValue, unknown, unknown>> = {
  ...HTTP_CHECKS,
  name: text,
  topic: (value) => (instance(value) === undefined ? undefined : 'a topic'),
  url: (value) =>
    callback(value) === undefined
      ? undefined
      : address(value) && `${address(value)}, or a function`,
  rows: callback,
  cursor: callback,
  key: callback,
  value: callback,
  timestamp: callback,
  follow: flag,
  pollIntervalMs: integer(1),
  bodyBytesMax: integer(1, 2 ** 29),
  numbers: oneOf(...JSON_NUMBERS),
};

// Servers count requests; six a minute are few.
const POLL_INTERVAL_MS = 10_000;
const BODY_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Reads JSON from an HTTP server into a topic. A page's rows and the cursor after it are committed
 * together, so each row is in the topic once, whatever happens to the process, if the server
 * answers the same cursor with the same rows.
 *
 * An answer with `ETag` or `Last-Modified` is asked for again with `If-None-Match` or
 * `If-Modified-Since`, also after a restart; 304 means that there is nothing new. Without a cursor,
 * an answer that has changed is read whole.
 *
 * @example
 * httpSource({
 *   topic: events,
 *   url: (after) => `https://example.org/events?after=${after ?? 0}`,
 *   rows: (page) => page.body as Event[],
 *   cursor: (page) => (page.body as Event[]).at(-1)?.id,
 *   key: (event: Event) => event.origin,
 *   follow: true,
 * })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function httpSource<Row, Cursor extends JsonValue, K, V>(
  options: HttpSourceOptions<Row, Cursor, K, V> &
    Required<Pick<HttpSourceOptions<Row, Cursor, K, V>, 'value'>>,
): SourceConnector<Topic<K, V>>;
/** The same for rows that are values of the topic. */
export function httpSource<Row extends V, Cursor extends JsonValue, K, V>(
  options: HttpSourceOptions<Row, Cursor, K, V>,
): SourceConnector<Topic<K, V>>;
export function httpSource<Row, Cursor extends JsonValue, K, V>(
  all: HttpSourceOptions<Row, Cursor, K, V>,
): SourceConnector<Topic<K, V>> {
  checkOptions<object>('httpSource', all, CHECKS, ['topic', 'url', 'key'] as never);
  checkHeaders('httpSource', all.headers);
  const { topic, url, follow = false, pollIntervalMs = POLL_INTERVAL_MS, headers = {} } = all;
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS, retryTimeoutMs = RETRY_TIMEOUT_MS } = all;
  const name = all.name ?? `${topic.name}-http`;
  return {
    name,
    topics: [topic],
    isBounded: !follow,
    async open(context) {
      const task = new HttpSourceTask<Row, Cursor, K, V>(
        {
          ...{ name, topic, follow, pollIntervalMs, headers, retryTimeoutMs },
          key: all.key,
          value: all.value,
          timestamp: all.timestamp,
          rows: all.rows,
          cursor: all.cursor,
          urlOf: (cursor) => String(typeof url === 'function' ? url(cursor) : url),
          timeoutMs: requestTimeoutMs,
          bodyBytesMax: all.bodyBytesMax ?? BODY_BYTES_MAX,
          numbers: all.numbers ?? 'bigint',
        },
        context,
      );
      return [task];
    },
  };
}
