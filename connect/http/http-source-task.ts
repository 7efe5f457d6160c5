import type { JsonNumbers } from '../../core/index.ts';
import { parseJson, sleep, stringifyJson } from '../../core/internal.ts';
import type {
  JsonValue,
  SourceBatch,
  SourceContext,
  SourceOffset,
  SourceTask,
  SourceTaskProgress,
} from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { recordsOf, type RowFunctions } from '../row-functions.ts';
import { excerpt, send, shownUrl, type HttpAnswer } from './request.ts';

/** A successful answer of the server. */
export interface HttpPage {
  /** The body, parsed as JSON; not checked. */
  readonly body: unknown;
  /** A header, whatever its case; undefined if it is missing. */
  readonly header: (name: string) => string | undefined;
}

/** `HttpSourceOptions` with every default filled in, except for the functions. */
export interface HttpSourceTaskOptions<Row, Cursor extends JsonValue, K, V> extends RowFunctions<
  Row,
  K,
  V
> {
  readonly name: string;
  readonly urlOf: (cursor: Cursor | undefined) => string;
  readonly rows: ((page: HttpPage) => readonly Row[]) | undefined;
  readonly cursor: ((page: HttpPage, before: Cursor | undefined) => Cursor | undefined) | undefined;
  readonly follow: boolean;
  readonly pollIntervalMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly retryTimeoutMs: number;
  readonly bodyBytesMax: number;
  readonly numbers: JsonNumbers;
}

/** The one partition of this source. */
const PARTITION = { input: 'http' } as const;
const NOT_MODIFIED = 304;

/** Gets page after page. */
export class HttpSourceTask<Row, Cursor extends JsonValue, K, V> implements SourceTask {
  readonly #options: HttpSourceTaskOptions<Row, Cursor, K, V>;
  readonly #context: SourceContext;
  /** Moves with each page. */
  #cursor: Cursor | undefined;
  /** Of the last page, if the next request is the same; undefined otherwise. */
  #etag: string | undefined;
  #lastModified: string | undefined;
  /** Set if the last page did not move the cursor: there is nothing more for now. */
  #isDry = false;
  #rows = 0;

  constructor(options: HttpSourceTaskOptions<Row, Cursor, K, V>, context: SourceContext) {
    this.#options = options;
    this.#context = context;
    const offset = context.offset(PARTITION);
    this.#cursor = offset?.['cursor'] as Cursor | undefined;
    this.#etag = textOf(offset?.['etag']);
    this.#lastModified = textOf(offset?.['lastModified']);
  }

  async poll(): Promise<SourceBatch | undefined> {
    const { follow, pollIntervalMs } = this.#options;
    const { clock, signal } = this.#context;
    for (;;) {
      if (this.#isDry && !follow) return undefined;
      if (this.#isDry) await sleep(clock, pollIntervalMs, signal);
      if (signal.aborted) return undefined;
      const url = this.#options.urlOf(this.#cursor);
      const answer = await this.#get(url);
      if (answer === undefined) return undefined;
      this.#isDry = answer.status === NOT_MODIFIED;
      if (!this.#isDry) return this.#batchOf(url, answer);
    }
  }

  progress(): SourceTaskProgress {
    return { unit: 'rows', done: this.#rows, total: undefined, current: undefined };
  }

  async close(): Promise<void> {
    // fetch closes idle connections itself
  }

  /** Undefined if the source is stopped while the server does not answer. */
  async #get(url: string): Promise<HttpAnswer | undefined> {
    const { headers, timeoutMs, retryTimeoutMs, bodyBytesMax } = this.#options;
    const { clock, signal } = this.#context;
    const conditions = {
      ...(this.#etag !== undefined && { 'if-none-match': this.#etag }),
      ...(this.#lastModified !== undefined && { 'if-modified-since': this.#lastModified }),
    };
    let answer: HttpAnswer;
    try {
      answer = await send({
        ...{ url, timeoutMs, retryTimeoutMs, bodyBytesMax, clock, signal },
        method: 'GET',
        headers: { accept: 'application/json', ...headers, ...conditions },
      });
    } catch (cause) {
      if (signal.aborted && ConnectError.is(cause, 'HTTP_UNAVAILABLE')) return undefined;
      throw cause;
    }
    const { status, body } = answer;
    if ((status >= 200 && status < 300) || status === NOT_MODIFIED) return answer;
    const shown = shownUrl(url);
    const location = answer.headers.get('location');
    const reason = location === null ? excerpt(body) : `it has moved to ${location}`;
    const message =
      `GET ${shown} is answered with ${status}: ${reason}; ` +
      'correct the address or the headers and run the connector again';
    throw new ConnectError('HTTP_REFUSED', message, { url: shown, status, reason });
  }

  #batchOf(url: string, answer: HttpAnswer): SourceBatch {
    const place = shownUrl(url);
    const page: HttpPage = {
      body: parse(place, answer.body, this.#options.numbers),
      header: (name) => answer.headers.get(name) ?? undefined,
    };
    const rows = this.#rowsOf(place, page);
    const before = this.#cursor;
    this.#cursor = this.#options.cursor?.(page, before) ?? before;
    const isMoved = stringifyJson(before) !== stringifyJson(this.#cursor);
    this.#isDry = !isMoved;
    this.#etag = isMoved ? undefined : page.header('etag');
    this.#lastModified = isMoved ? undefined : page.header('last-modified');
    this.#rows += rows.length;
    const records = recordsOf(rows, this.#options, { place, position: { url: place } });
    return { ...records, partition: PARTITION, offset: this.#offset() };
  }

  #rowsOf(place: string, page: HttpPage): readonly Row[] {
    const rows = this.#options.rows === undefined ? page.body : this.#options.rows(page);
    if (Array.isArray(rows)) return rows as readonly Row[];
    const what = this.#options.rows === undefined ? 'the body' : 'what the function rows returns';
    const reason = `${what} is no array`;
    const message = `${place}: ${reason}; give the source a function rows that finds the array`;
    throw new ConnectError('HTTP_REFUSED', message, { url: place, status: 200, reason });
  }

  #offset(): SourceOffset {
    return {
      ...(this.#cursor !== undefined && { cursor: this.#cursor }),
      ...(this.#etag !== undefined && { etag: this.#etag }),
      ...(this.#lastModified !== undefined && { lastModified: this.#lastModified }),
    };
  }
}

function parse(file: string, body: Buffer, numbers: JsonNumbers): unknown {
  try {
    return parseJson(body.toString(), body, 0, body.length, numbers);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message =
      cause instanceof RangeError
        ? `${file}: ${reason}; see the option numbers`
        : `${file}: the answer is not JSON: ${reason}`;
    const details = { file, line: 1, positionBytes: 0, reason };
    throw new ConnectError('INVALID_JSON', message, details, { cause });
  }
}

function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
