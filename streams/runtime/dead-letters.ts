import { bytes, type Headers } from '../../core/index.ts';
import {
  DEAD_LETTER_CONFIG,
  errorFields,
  recordText,
  streamsFailureHeaders,
} from '../../core/internal.ts';
import type { TopicSpec } from '../topology/node.ts';
import type { RecordFailure } from '../topology/record-errors.ts';

export function deadLetterTopic(name: string): TopicSpec {
  const [key, value, config] = [bytes(), bytes(), DEAD_LETTER_CONFIG];
  return { name, key, value, partitions: undefined, config };
}

/**
 * The headers of a dead letter: those of the record, and what failed.
 *
 * @param source what was read, if its bytes are known; otherwise the record is told as text.
 */
export function deadLetterHeaders(
  failure: RecordFailure,
  source: { readonly headers: Headers } | undefined,
): Headers {
  const { error, node, taskId, stage, topic, partition, offset, record } = failure;
  const { headers } = source ?? failure;
  const isKnown = topic !== '';
  const added = streamsFailureHeaders({
    ...errorFields(error),
    ...(isKnown && { topic, partition: String(partition), offset: String(offset) }),
    ...{ stage, node, taskId },
    record: source !== undefined || record === undefined ? undefined : recordText(record),
  });
  return [...headers, ...added];
}
