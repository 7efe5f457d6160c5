import { asError } from '../../core/internal.ts';
import { refusal } from './route.ts';

/** What the services of Kafka answer to a body that is not what they take. */
const BAD_BODY = 500;
const TOO_LARGE = 413;
const WRONG_TYPE = 415;

/**
 * Reads and parses a body; undefined if there is none.
 *
 * @throws LogError REQUEST_REFUSED: 415 for another type than JSON, 413 for too many bytes, and for
 *   what is no JSON 500, which is Kafka's answer.
 */
export async function readJson(request: Request, bodyBytesMax: number): Promise<unknown> {
  const type = request.headers.get('content-type');
  if (type !== null && !/^application\/([\w.-]+\+)?json\s*(;|$)/i.test(type)) {
    throw refusal(WRONG_TYPE, 'HTTP 415 Unsupported Media Type');
  }
  const bytes = await readBytes(request, bodyBytesMax);
  if (bytes.length === 0) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw refusal(BAD_BODY, `the body is not JSON: ${asError(cause).message}`, cause);
  }
}

async function readBytes(request: Request, bodyBytesMax: number): Promise<Buffer> {
  const tooLarge = (): Error =>
    refusal(TOO_LARGE, `the body has more than bodyBytesMax=${bodyBytesMax} bytes`);
  if (Number(request.headers.get('content-length') ?? 0) > bodyBytesMax) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    sizeBytes += chunk.length;
    if (sizeBytes > bodyBytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * A body that is an object.
 *
 * @param known the only fields that it may have; undefined for any.
 * @throws LogError REQUEST_REFUSED, with Kafka's status
 */
export function objectBody(
  body: unknown,
  known?: readonly string[],
): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw badBody(body === undefined ? 'the body is missing' : 'the body must be a JSON object');
  }
  const unknown = Object.keys(body).find((name) => known?.includes(name) === false);
  if (unknown === undefined) return body as Readonly<Record<string, unknown>>;
  throw badBody(`Unrecognized field "${unknown}"; there are ${known?.join(', ') ?? 'none'}`);
}

/** The failure of a body that is JSON, but not of the right form. */
export function badBody(reason: string): Error {
  return refusal(BAD_BODY, reason);
}
