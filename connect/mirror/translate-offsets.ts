import type { CommittedOffset, Log } from '../../core/index.ts';
import { checkOptions, text } from '../../core/internal.ts';
import { checkpoints } from './mirror-records.ts';
import { readRecords } from './read-records.ts';

/** Whose offsets to translate. */
export interface TranslateOffsetsOptions {
  /** The `alias` of the log that was mirrored. */
  readonly alias: string;
  /** A consumer group of that log. */
  readonly groupId: string;
}

/**
 * Where a consumer group of a log goes on in its mirror: the next offset in each partition of a
 * copy, as of the last checkpoint. Nothing that the group has not read is before it; some of what
 * it has read may come again. Empty if the mirror knows nothing of the group. (Kafka:
 * `RemoteClusterUtils.translateOffsets`.)
 *
 * @param log the one that holds the mirror.
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION, and any failure to read the log.
 *
 * @example
 * const offsets = await translateOffsets(log, { alias: 'primary', groupId: 'audit' });
 * await log.consumer({ groupId: 'audit' }).commit(offsets);
 */
export async function translateOffsets(
  log: Log,
  options: TranslateOffsetsOptions,
): Promise<readonly Required<CommittedOffset>[]> {
  checkOptions('translateOffsets', options, { alias: text, groupId: text }, ['alias', 'groupId']);
  const found = new Map<string, Required<CommittedOffset>>();
  for (const { key, value } of await readRecords(log, checkpoints(options.alias))) {
    if (key?.group !== options.groupId) continue;
    const { topic, partition } = key;
    const place = `${topic}-${partition}`;
    if (value === null) found.delete(place);
    else found.set(place, { topic, partition, offset: value.offset, metadata: value.metadata });
  }
  return [...found.values()];
}
