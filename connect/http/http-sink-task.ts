import type { ConsumerRecord } from '../../core/index.ts';
import { present } from '../../core/internal.ts';
import type { SinkContext, SinkTask } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { unwritable } from '../unwritable.ts';
import { excerpt, send, shownUrl, type HttpAnswer } from './request.ts';

export interface HttpSinkTaskOptions {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly retryTimeoutMs: number;
  /** Undefined for requests of one record, without an array around it. */
  readonly batchRecordsMax: number | undefined;
  readonly value: (record: ConsumerRecord) => unknown;
  readonly context: SinkContext;
}

/** A record and its JSON. */
interface Part {
  readonly record: ConsumerRecord;
  readonly json: string;
}

/** The address, the method or the rights are wrong: no record can be sent. */
const WRONG_ADDRESS: ReadonlySet<number> = new Set([401, 403, 404, 405, 407, 410]);
/** What a server says to a request is not needed, but must be read for the next one. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/** Sends records as they are put: a commit has nothing left to do. */
export class HttpSinkTask implements SinkTask {
  readonly committedOffsets: undefined = undefined;
  readonly #options: HttpSinkTaskOptions;
  readonly #topicId: string;

  constructor(options: HttpSinkTaskOptions) {
    this.#options = options;
    const topic = present(options.context.topics[0], 'a sink gets the topics that it names');
    this.#topicId = topic.topicId;
  }

  async put(records: readonly ConsumerRecord[]): Promise<void> {
    const { batchRecordsMax = 1 } = this.#options;
    let parts: Part[] = [];
    for (const record of records) {
      const json = this.#encode(record);
      if (json === undefined) continue;
      parts.push({ record, json });
      if (parts.length < batchRecordsMax) continue;
      await this.#send(parts);
      parts = [];
    }
    if (parts.length > 0) await this.#send(parts);
  }

  async commit(): Promise<void> {
    // put waits for the answers
  }

  async close(): Promise<void> {
    // fetch closes idle connections itself
  }

  #encode(record: ConsumerRecord): string | undefined {
    const { value, context } = this.#options;
    try {
      const body = value(record);
      if (body === undefined) return undefined;
      const json = JSON.stringify(body) as string | undefined;
      if (json === undefined) throw new TypeError(`${typeof body} has no JSON form`);
      return json;
    } catch (cause) {
      context.reject(record, unwritable(record, cause));
      return undefined;
    }
  }

  /** Sends one request. Returns when the server has taken each record, or refused it. */
  async #send(parts: readonly Part[]): Promise<void> {
    const { url, method, headers, timeoutMs, retryTimeoutMs, batchRecordsMax } = this.#options;
    const { clock, signal, onStep, reject } = this.#options.context;
    const bodies = parts.map(({ json }) => json).join(',');
    onStep('http-1-request');
    const answer = await send({
      ...{ url, method, timeoutMs, retryTimeoutMs, clock, signal },
      headers: {
        'content-type': 'application/json',
        ...headers,
        'idempotency-key': this.#keyOf(parts),
      },
      body: batchRecordsMax === undefined ? bodies : `[${bodies}]`,
      bodyBytesMax: ANSWER_BYTES_MAX,
    });
    onStep('http-2-answer');
    const { status } = answer;
    if (status >= 200 && status < 300) return;
    if (status < 400 || WRONG_ADDRESS.has(status)) throw this.#wrongAddress(answer);
    if (parts.length > 1) {
      for (const part of parts) await this.#send([part]); // to find out which one it is
    } else {
      const { record } = present(parts[0], 'a request has a record');
      reject(record, unwritable(record, this.#refused(answer)));
    }
  }

  #keyOf(parts: readonly Part[]): string {
    const { topic, partition, offset } = present(parts[0], 'a request has a record').record;
    const last = present(parts.at(-1), 'a request has a record').record.offset;
    const { batchRecordsMax } = this.#options;
    const offsets = batchRecordsMax === undefined ? `${offset}` : `${offset}-${last}`;
    // Offsets start over in a topic that is deleted and made again; its id differs.
    return `${topic}-${partition}-${offsets}-${this.#topicId}`;
  }

  #refused({ status, body }: HttpAnswer): ConnectError {
    const url = shownUrl(this.#options.url);
    const reason = excerpt(body);
    const message = `${url} refused it with ${status}: ${reason}`;
    return new ConnectError('HTTP_REFUSED', message, { url, status, reason });
  }

  #wrongAddress({ status, headers, body }: HttpAnswer): ConnectError {
    const url = shownUrl(this.#options.url);
    const location = headers.get('location');
    const reason = location === null ? excerpt(body) : `it has moved to ${location}`;
    const message =
      `${this.#options.method} ${url} is answered with ${status}: ${reason}; ` +
      'correct the address or the headers and run the connector again';
    return new ConnectError('HTTP_REFUSED', message, { url, status, reason });
  }
}
