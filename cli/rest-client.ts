import { ConnectError } from '../connect/index.ts';

/** How long an answer may take: as long as Kafka Connect takes for one. */
const ANSWER_MS = 90_000;

/** What a service has answered. */
export interface RestAnswer {
  readonly status: number;
  /** Parsed; undefined if there was none. */
  readonly body: unknown;
}

/** Calls a REST service of connectors. */
export class RestClient {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url.replace(/\/+$/, '');
  }

  /**
   * Sends a request.
   *
   * @param path its parts, which are encoded: `['connectors', name]`.
   * @throws ConnectError HTTP_UNAVAILABLE if nothing answers; HTTP_REFUSED with the reason that the
   *   service gives.
   */
  async send(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: readonly string[],
    { query, body }: { readonly query?: string; readonly body?: unknown } = {},
  ): Promise<RestAnswer> {
    const parts = path.map(encodeURIComponent).join('/');
    const url = `${this.#url}/${parts}${query === undefined ? '' : `?${query}`}`;
    const answer = await this.#fetch(method, url, body);
    const text = await answer.text();
    const parsed = parse(text);
    if (answer.ok) return { status: answer.status, body: parsed };
    const { status, statusText } = answer;
    const reason = reasonIn(parsed) ?? (text.slice(0, 500) || statusText);
    const message = `${method} ${url} was refused with ${status}: ${reason}`;
    throw new ConnectError('HTTP_REFUSED', message, { url, status, reason });
  }

  async #fetch(method: string, url: string, body: unknown): Promise<Response> {
    try {
      return await fetch(url, {
        method,
        signal: AbortSignal.timeout(ANSWER_MS),
        ...(body !== undefined && {
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }),
      });
    } catch (cause) {
      const reason = reasonOf(cause);
      const message =
        `nothing answers at ${this.#url}: ${reason}; start a worker with ` +
        'millrace connect run --rest <port>, or tell where one is with --url';
      const details = { url: this.#url, status: 0, reason };
      throw new ConnectError('HTTP_UNAVAILABLE', message, details, { cause });
    }
  }
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  } catch {
    return undefined;
  }
}

function reasonIn(body: unknown): string | undefined {
  const isError = typeof body === 'object' && body !== null && 'message' in body;
  return isError && typeof body.message === 'string' ? body.message : undefined;
}

/** fetch says `fetch failed`; what failed is in its cause, or in those of an AggregateError. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError) return reasonOf(cause.errors[0]);
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause === undefined ? cause.message || cause.name : reasonOf(cause.cause);
}
