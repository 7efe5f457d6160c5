import { LogError } from '../../core/index.ts';
import { instance, integer, show, text, type OptionChecks } from '../../core/internal.ts';

/** What the HTTP sink and the HTTP source have in common. */
export interface HttpOptions {
  /**
   * Headers of each request, such as `authorization`. They are never printed. Default: none but
   * those that the connector sets.
   */
  readonly headers?: Readonly<Record<string, string>>;
  /** How long one request may take, in milliseconds. Default: 30,000. */
  readonly requestTimeoutMs?: number;
  /**
   * How long a request is repeated that the server does not answer, or answers with 408, 425, 429
   * or 5xx, in milliseconds; then the run ends with HTTP_UNAVAILABLE. Default: 300,000.
   */
  readonly retryTimeoutMs?: number;
}

export const HTTP_CHECKS: OptionChecks<HttpOptions> = {
  headers: instance,
  requestTimeoutMs: integer(1, 2 ** 31 - 1),
  retryTimeoutMs: integer(0),
};

// As long as Kafka's request.timeout.ms.
export const REQUEST_TIMEOUT_MS = 30_000;
// A server that restarts, or is replaced, is back in a few minutes.
export const RETRY_TIMEOUT_MS = 300_000;

/** Accepts an address as text or as a URL. */
export function address(value: unknown): string | undefined {
  return isAddress(value) ? undefined : 'an address that begins with http:// or https://';
}

/** @throws LogError INVALID_OPTION for headers that HTTP does not allow; shows no value. */
export function checkHeaders(what: string, headers: Readonly<Record<string, string>> = {}): void {
  for (const [name, value] of Object.entries(headers)) {
    try {
      if (text(value) !== undefined) throw new TypeError('empty');
      new Headers([[name, value]]);
    } catch (cause) {
      const [option, allowed] = ['headers', 'names and values that HTTP allows'];
      const message = `${what}: ${option} must be ${allowed}, which ${show(name)} is not`;
      throw new LogError('INVALID_OPTION', message, { option, value: name, allowed }, { cause });
    }
  }
}

function isAddress(value: unknown): boolean {
  if (typeof value !== 'string' && !(value instanceof URL)) return false;
  try {
    const { protocol, username, password } = new URL(value);
    // fetch refuses credentials in an address; they belong in a header.
    return (protocol === 'http:' || protocol === 'https:') && username + password === '';
  } catch {
    return false;
  }
}
