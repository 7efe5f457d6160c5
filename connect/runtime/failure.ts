import { AssertionFailure, LogError } from '../../core/index.ts';
import { ConnectError } from '../errors.ts';

/** Wraps what a connector threw in a coded error, unless it already is one. */
export function failureOf(
  connector: string,
  operation: 'open' | 'poll' | 'put' | 'commit' | 'close',
  cause: unknown,
): Error {
  if (cause instanceof ConnectError || cause instanceof LogError) return cause;
  if (cause instanceof AssertionFailure) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `connector ${connector} failed to ${operation}: ${reason}`;
  return new ConnectError('CONNECTOR_FAILED', message, { connector, operation }, { cause });
}
