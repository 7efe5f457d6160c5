import type { Clock } from '../../core/index.ts';
import { sleep } from '../../core/internal.ts';
import { ConnectError } from '../errors.ts';

/** One request, and how long to try. */
export interface HttpRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** How long one attempt may take, its body included. */
  readonly timeoutMs: number;
  /** How long to repeat it; 0 for one attempt. */
  readonly retryTimeoutMs: number;
  /** A longer answer is a failure. */
  readonly bodyBytesMax: number;
  readonly clock: Clock;
  /** Ends the wait before the next attempt. */
  readonly signal: AbortSignal;
}

/** What came back, whatever its status. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** An attempt without a usable answer. */
interface Miss {
  /** 0 if no answer came at all. */
  readonly status: number;
  readonly reason: string;
  /** What the server asks for with Retry-After. */
  readonly retryAfterMs: number;
  readonly cause?: unknown;
}

/** The first wait before another attempt; each one is twice as long as the last. */
const RETRY_MS = 100;
const RETRY_MS_MAX = 30_000;
/** Answers below 500 that ask for another attempt. */
const REPEATED: ReadonlySet<number> = new Set([408, 425, 429]);

/**
 * Sends a request until it has an answer that another attempt would not change: 2xx, 3xx and 4xx.
 * It tries again after network failures, timeouts, 408, 425, 429 and 5xx, at growing intervals, or
 * as late as `Retry-After` asks. It follows no redirect: that would make a POST a GET.
 *
 * @throws ConnectError HTTP_UNAVAILABLE when `retryTimeoutMs` is over, or `signal` aborts a wait.
 */
export async function send(request: HttpRequest): Promise<HttpAnswer> {
  const { clock, retryTimeoutMs, signal } = request;
  const endMs = clock.monotonicMs() + retryTimeoutMs;
  for (let delayMs = RETRY_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MS_MAX)) {
    const answer = await attempt(request);
    if ('body' in answer) return answer;
    const waitMs = Math.max(delayMs, answer.retryAfterMs);
    if (clock.monotonicMs() + waitMs > endMs) {
      throw unavailable(request, answer, `retryTimeoutMs=${retryTimeoutMs} is over`);
    }
    await sleep(clock, waitMs, signal);
    if (signal.aborted) throw unavailable(request, answer, 'the connector is stopped');
  }
}

/** An address as messages show it: its query may hold a secret. */
export function shownUrl(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

/** The start of a body, for messages. */
export function excerpt(body: Buffer): string {
  const text = body.toString('utf8', 0, EXCERPT_BYTES).replace(/\s+/g, ' ').trim();
  return text === '' ? 'no reason given' : text;
}

const EXCERPT_BYTES = 200;

async function attempt(request: HttpRequest): Promise<HttpAnswer | Miss> {
  const { url, method, headers, body = null, timeoutMs, bodyBytesMax, clock } = request;
  const timeout = new AbortController();
  const timer = clock.setTimer(timeoutMs, () => timeout.abort());
  let status = 0;
  try {
    const { signal } = timeout;
    const response = await fetch(url, { method, headers, body, signal, redirect: 'manual' });
    status = response.status;
    const answer = { status, headers: response.headers, body: await read(response, bodyBytesMax) };
    if (status < 500 && !REPEATED.has(status)) return answer;
    const retryAfterMs = retryAfter(response.headers.get('retry-after'), clock);
    return { status, reason: `${status}, ${excerpt(answer.body)}`, retryAfterMs };
  } catch (cause) {
    if (cause instanceof ConnectError) throw cause;
    const reason = timeout.signal.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(cause);
    return { status, reason, retryAfterMs: 0, cause };
  } finally {
    timer.cancel();
  }
}

async function read(response: Response, bodyBytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length;
    if (sizeBytes > bodyBytesMax) throw tooLarge(response, bodyBytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Seconds or a date, in milliseconds from now; 0 without one. */
function retryAfter(value: string | null, clock: Clock): number {
  if (value === null) return 0;
  const seconds = Number(value);
  const waitMs = Number.isNaN(seconds) ? Date.parse(value) - clock.nowMs() : seconds * 1_000;
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : 0;
}

/** fetch says `fetch failed`; what failed is in its cause. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? reasonOf(cause.cause) : cause.message || cause.name;
}

function unavailable(request: HttpRequest, miss: Miss, end: string): ConnectError {
  const url = shownUrl(request.url);
  const { status, reason, cause } = miss;
  const message =
    `${request.method} ${url} failed: ${reason}; ${end}; ` +
    'run the connector again when the server answers: it continues at its last commit';
  return new ConnectError('HTTP_UNAVAILABLE', message, { url, status, reason }, { cause });
}

function tooLarge({ url: from, status }: Response, bodyBytesMax: number): ConnectError {
  const url = shownUrl(from);
  const reason = `more than bodyBytesMax=${bodyBytesMax} bytes`;
  const message = `the answer of ${url} has ${reason}; raise it, or ask for smaller pages`;
  return new ConnectError('HTTP_REFUSED', message, { url, status, reason });
}
