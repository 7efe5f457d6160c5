import { ConnectError } from '../connect/index.ts';
import { LogError } from '../core/index.ts';
import { StreamsError } from '../streams/index.ts';

/**
 * Prints one message for an error: what, where and what to do. The messages of our own errors say
 * all that; other errors are bugs, the job's or ours, and are printed with their stack.
 */
export function complain(error: unknown): void {
  process.stderr.write(`millrace: ${textOf(error)}\n`);
}

/** An error as it appears in a line of JSON; `code` is null if it is not one of ours. */
export function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { code: null, message: String(error) };
  const code = codeOf(error);
  if (code === undefined) return { code: null, message: error.message, stack: error.stack };
  const { details } = error as Error & { readonly details: unknown };
  return { code, message: error.message, details };
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  if (code === undefined) return error.stack ?? error.message;
  const { message, cause } = error;
  const own = `${message} (${code})`;
  // The stack of what a user's function threw shows where in the job it was.
  const isUsers = code === 'PROCESSING_FAILED' && cause instanceof Error;
  return isUsers ? `${own}\n${cause.stack ?? ''}` : own;
}

function codeOf(error: Error): string | undefined {
  if (error instanceof LogError) return error.code;
  if (error instanceof StreamsError) return (error as StreamsError).code;
  return error instanceof ConnectError ? error.code : undefined;
}
