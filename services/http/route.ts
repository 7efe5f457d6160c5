import { LogError } from '../../core/index.ts';

/** A request to a route. */
export interface Call {
  /** What stands for the names in the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The body, parsed; undefined if there is none. */
  readonly body: unknown;
  /** How the caller reached the service: `http://127.0.0.1:8083`. */
  readonly origin: string;
}

/** What a route answers. */
export interface Answer {
  readonly status: number;
  /** Becomes JSON; undefined for no body. */
  readonly body?: unknown;
  /** Where what was created is; a path. */
  readonly location?: string;
}

/** A JSON schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** One endpoint: how it is reached, what the OpenAPI document tells of it, and what it does. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With names in braces: `/connectors/{connector}`. */
  readonly path: string;
  readonly summary: string;
  /** Parameters of the query, with what they mean. */
  readonly query?: Readonly<Record<string, string>>;
  /** The schema of the body that it takes; undefined if it takes none. */
  readonly takes?: JsonSchema;
  /** What it answers, by status, besides errors. */
  readonly answers: Readonly<
    Record<number, { readonly means: string; readonly schema?: JsonSchema }>
  >;
  readonly handle: (call: Call) => Answer | Promise<Answer>;
}

/** The body of errors: that of Kafka's services. */
export interface ErrorBody {
  readonly error_code: number;
  readonly message: string;
}

/** The failure of a request, for handlers to throw. `reason` is what the caller reads. */
export function refusal(status: number, reason: string, cause?: unknown): LogError {
  return new LogError('REQUEST_REFUSED', reason, { status, reason }, { cause });
}

/** The body of an error. */
export function errorBody(status: number, message: string): ErrorBody {
  return { error_code: status, message };
}
