import type { ConsumerRecord, Topic } from '../../core/index.ts';
import {
  callback,
  checkOptions,
  instance,
  integer,
  oneOf,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import type { Delivery, SinkConnector } from '../connector.ts';
import {
  address,
  checkHeaders,
  HTTP_CHECKS,
  REQUEST_TIMEOUT_MS,
  RETRY_TIMEOUT_MS,
  type HttpOptions,
} from './http-options.ts';
import { HttpSinkTask } from './http-sink-task.ts';

/** What `httpSink` sends, and where. */
export interface HttpSinkOptions<K, V> extends HttpOptions {
  /** Identifies the sink in the log, for ever. Default: `<topic>-http`. */
  readonly name?: string;
  readonly topic: Topic<K, V>;
  /** Where every request goes. */
  readonly url: string | URL;
  /** Default: POST. */
  readonly method?: 'POST' | 'PUT' | 'PATCH';
  /**
   * Makes what is sent of a record, as JSON; undefined leaves the record out. Default: the record's
   * value.
   */
  readonly value?: (record: ConsumerRecord<K, V>) => unknown;
  /**
   * Undefined: one request per record. A number: up to so many records of one partition in one
   * request, as a JSON array. Default: undefined.
   */
  readonly batchRecordsMax?: number;
}

const CHECKS: OptionChecks<HttpSinkOptions<unknown, unknown>> = {
  ...HTTP_CHECKS,
  name: text,
  topic: (value) => (instance(value) === undefined ? undefined : 'a topic'),
  url: address,
  method: oneOf('POST', 'PUT', 'PATCH'),
  value: callback,
  batchRecordsMax: integer(1, 100_000),
};

/**
 * Sends a topic to an HTTP server, one request after the other, so that the records of a partition
 * arrive in order.
 *
 * Each request has the header `Idempotency-Key`, made of topic, partition, offset and the topic's
 * id. A record that is sent again, after a crash or a lost answer, has the same key: with a server
 * that ignores keys it has seen, each record counts once (`delivery: 'idempotent'`). A batch has
 * the keys' first and last offset, and may be cut differently after a crash: batches are
 * `at-least-once`.
 *
 * A record is rejected if the server refuses it (400, 409, 413, 415, 422, other 4xx); of a refused
 * batch each record is then sent alone. Answers about the address or the rights (3xx, 401, 403,
 * 404, 405, 407, 410) end the run with HTTP_REFUSED.
 *
 * @example
 * httpSink({ topic: alerts, url: 'https://example.org/hooks', headers: { authorization: token } })
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function httpSink<K, V>(options: HttpSinkOptions<K, V>): SinkConnector<Topic<K, V>> {
  checkOptions<object>('httpSink', options, CHECKS, ['topic', 'url'] as never);
  checkHeaders('httpSink', options.headers);
  const { topic, method = 'POST', headers = {}, batchRecordsMax } = options;
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS, retryTimeoutMs = RETRY_TIMEOUT_MS } = options;
  const value = options.value ?? ((record: ConsumerRecord<K, V>) => record.value);
  const delivery: Delivery = batchRecordsMax === undefined ? 'idempotent' : 'at-least-once';
  return {
    name: options.name ?? `${topic.name}-http`,
    topics: [topic],
    delivery,
    async open(context) {
      return new HttpSinkTask({
        url: String(options.url),
        method,
        headers,
        timeoutMs: requestTimeoutMs,
        retryTimeoutMs,
        batchRecordsMax,
        value: value as (record: ConsumerRecord) => unknown,
        context,
      });
    },
  };
}
