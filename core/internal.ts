/**
 * What streams, connect, job and cli need of core and users do not: the door beside `index.ts`.
 * package.json does not export it, so no editor offers these names and each may change at any time.
 */
export { assert, present } from './assert.ts';
export { placeOf } from './check/finding.ts';
export { checkHandle, headersFault } from './client/arguments.ts';
export {
  connectFailureHeaders,
  DEAD_LETTER_CONFIG,
  errorFields,
  LETTER_BYTES_MAX,
  recordText,
  streamsFailureHeaders,
} from './client/dead-letters/dead-letter.ts';
export { locateValue, type ByteSpan } from './client/consumer/consumer-record.ts';
export { OffsetSet } from './client/dead-letters/offset-set.ts';
export { commitOffsets, offsetsOf } from './client/partition-offsets.ts';
export { sleep } from './clock.ts';
export { asError } from './errors.ts';
export { Exclusive } from './exclusive.ts';
export {
  able,
  anything,
  callback,
  checkArgument,
  checkOptions,
  flag,
  given,
  instance,
  integer,
  listOf,
  oneOf,
  plain,
  show,
  text,
  type OptionCheck,
  type OptionChecks,
} from './options.ts';
export { Feed, rxjs } from './feed.ts';
export {
  EXPOSITION_TYPE,
  expositionText,
  type MetricFamily,
  type MetricLabels,
} from './exposition.ts';
export { Interruption } from './interruption.ts';
export { withFields } from './logger.ts';
export { BATCH_OVERHEAD } from './record/batch.ts';
export {
  compress,
  compressionLevel,
  COMPRESSION_LEVELS,
  decompress,
} from './record/compression.ts';
export { varintSize, writeVarint } from './record/varint.ts';
export { RetryPause } from './retry-pause.ts';
export { JSON_NUMBERS, parseJson, stringifyJson } from './serde/json-numbers.ts';
export { asBuffer, namesAround } from './serde/serde.ts';
export { freeBytes } from './storage/free-bytes.ts';
export { isJsonSerde } from './serde/text.ts';
export { replaceFile } from './storage/atomic-file.ts';
export { lockDirectory, lockHolder } from './storage/directory-lock.ts';
export { identityOf } from './storage/node-fs.ts';
