import { LogError, NO_HEADERS, serializeToBytes, type Headers } from '../../core/index.ts';
import { BATCH_OVERHEAD, varintSize } from '../../core/internal.ts';
import type { TopicSpec } from '../topology/node.ts';
import type { RecordWriter } from './outputs.ts';

/** What a record has besides its varying parts: flags and two deltas. */
const RECORD_BYTES = 3;

/**
 * A writer that refuses a record that its topic would refuse, when it is written: by itself the
 * topic says so only at the commit, of a whole batch. It serialises each record once more.
 *
 * @param limitBytes the topic's `maxMessageBytes`.
 */
export function withSizeLimit(
  writer: RecordWriter,
  topic: TopicSpec,
  limitBytes: number,
): RecordWriter {
  return {
    partitions: writer.partitions,
    write: (key, value, timestampMs, headers, partition) => {
      const sizeBytes = batchBytes(topic, key, value, headers);
      if (sizeBytes !== undefined && sizeBytes > limitBytes) {
        throw tooLarge(topic.name, sizeBytes, limitBytes);
      }
      return writer.write(key, value, timestampMs, headers, partition);
    },
  };
}

/** The size of a batch of one record; undefined if a serde fails, which the writer tells better. */
function batchBytes(
  topic: TopicSpec,
  key: unknown,
  value: unknown,
  headers: Headers = NO_HEADERS,
): number | undefined {
  try {
    const parts = [
      key === null ? null : serializeToBytes(topic.key, key),
      value === null ? null : serializeToBytes(topic.value, value),
      ...headers.flatMap((header) => [Buffer.from(header.key), header.value]),
    ];
    let bodyBytes = RECORD_BYTES + varintSize(headers.length);
    for (const part of parts) {
      const length = part === null ? -1 : part.length;
      bodyBytes += varintSize(length) + Math.max(0, length);
    }
    return BATCH_OVERHEAD + varintSize(bodyBytes) + bodyBytes;
  } catch {
    return undefined;
  }
}

function tooLarge(topic: string, sizeBytes: number, limitBytes: number): LogError {
  const message =
    `a record for ${topic} takes ${sizeBytes} bytes as a batch, and the topic's maxMessageBytes ` +
    `is ${limitBytes}: raise that, or make the record smaller`;
  return new LogError('MESSAGE_TOO_LARGE', message, { topic, sizeBytes, limitBytes });
}
