import { LogError, type LogFields } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';

/** What the errors of all packages have. */
interface CodedError {
  readonly code: string;
  readonly details: Partial<Record<string, unknown>>;
}

/** What a line in the log has of an error: its code, and where it happened. */
export function fieldsOf(error: unknown): LogFields {
  if (!(error instanceof StreamsError) && !(error instanceof LogError)) return {};
  const { code, details } = error as CodedError;
  const { node, topic, partition, offset } = details;
  return {
    code,
    ...(typeof node === 'string' && node !== '' && { node }),
    ...(typeof topic === 'string' && topic !== '' && { topic }),
    ...(typeof topic === 'string' &&
      topic !== '' &&
      typeof partition === 'number' && { partition }),
    ...(typeof offset === 'number' && offset >= 0 && { offset }),
  };
}
