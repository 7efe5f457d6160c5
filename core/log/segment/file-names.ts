/** The names of a partition's files, as Kafka writes them (`LogFileUtils`). */

const OFFSET_DIGITS = 20;

export const LOG_SUFFIX = '.log';
export const OFFSET_INDEX_SUFFIX = '.index';
export const TIME_INDEX_SUFFIX = '.timeindex';
export const TRANSACTION_INDEX_SUFFIX = '.txnindex';
export const INDEX_SUFFIXES = [
  OFFSET_INDEX_SUFFIX,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
] as const;
/** The files of one segment. */
export const SEGMENT_SUFFIXES = [LOG_SUFFIX, ...INDEX_SUFFIXES] as const;
export const SNAPSHOT_SUFFIX = '.snapshot';
/** Appended to a name until the file is removed. */
export const DELETED_SUFFIX = '.deleted';
/** Appended to a segment's file names while compaction writes them: recovery removes such files. */
export const CLEANED_SUFFIX = '.cleaned';
/** Appended to a segment file's name during a swap: recovery restores the name. */
export const SWAP_SUFFIX = '.swap';
/** Appended to the name of a partition's directory until it is removed. */
export const DELETE_DIRECTORY_SUFFIX = '-delete';

export const LEADER_EPOCH_FILE = 'leader-epoch-checkpoint';
export const PARTITION_METADATA_FILE = 'partition.metadata';

/** `offset` as the twenty digits that start a file name. */
export function offsetName(offset: number): string {
  return String(offset).padStart(OFFSET_DIGITS, '0');
}

/** The offset in a name such as 00000000000000000042.log, or undefined for any other name. */
export function offsetOfName(name: string, suffix: string): number | undefined {
  if (!name.endsWith(suffix)) return undefined;
  const digits = name.slice(0, -suffix.length);
  return /^\d{20}$/.test(digits) ? Number(digits) : undefined;
}

/** The name of a partition's directory. */
export function partitionDirectory(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

/** The topic and partition of a directory's name, split at the last dash; undefined for others. */
export function partitionOfDirectory(
  name: string,
): { readonly topic: string; readonly partition: number } | undefined {
  const match = /^(.+)-(\d+)$/.exec(name);
  return match === null ? undefined : { topic: match[1]!, partition: Number(match[2]) };
}
