import type { ConsumerRecord } from '../core/index.ts';
import { ConnectError } from './errors.ts';

/** ROW_UNWRITABLE: this record cannot become a row of the output. */
export function unwritable(record: ConsumerRecord, cause: unknown): ConnectError {
  const { topic, partition, offset } = record;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const place = `the record at offset ${offset} of ${topic}-${partition}`;
  const message = `${place} cannot be written: ${reason}`;
  const details = { topic, partition, offset, reason };
  return new ConnectError('ROW_UNWRITABLE', message, details, { cause });
}
