import { ConnectError } from '../errors.ts';

/** What a statement was for; part of messages. */
export type SqlOperation = 'open' | 'begin' | 'read' | 'write' | 'commit' | 'create a table in';

/** DATABASE_UNAVAILABLE: the same may succeed later. */
export function unavailable(
  database: string,
  operation: SqlOperation,
  cause: unknown,
): ConnectError {
  const reason = reasonOf(cause);
  const message =
    `cannot ${operation} the database ${database} for now: ${reason}; ` +
    'run the connector again: it goes on where the last commit was';
  const details = { database, operation, reason };
  return new ConnectError('DATABASE_UNAVAILABLE', message, details, { cause });
}

/** DATABASE_FAILED: the same would fail again. */
export function databaseFailed(
  database: string,
  operation: SqlOperation,
  cause: unknown,
): ConnectError {
  const reason = reasonOf(cause);
  const sqlCode = codeOf(cause) ?? '';
  const message = `cannot ${operation} the database ${database}: ${reason}`;
  const details = { database, operation, sqlCode, reason };
  return new ConnectError('DATABASE_FAILED', message, details, { cause });
}

/** The code of a driver's error. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

function reasonOf(cause: unknown): string {
  // A failed attempt to connect to several addresses has the text of none.
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join('; ');
  return cause instanceof Error ? cause.message : String(cause);
}
