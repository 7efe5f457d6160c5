import type { Log } from '../../core/index.ts';
import { checkOptions, present } from '../../core/internal.ts';
import type { SourceConnector, SourceContext } from '../connector.ts';
import { GroupCheckpoints } from './group-checkpoints.ts';
import {
  MIRROR_CHECKS,
  mirrorSettings,
  type MirrorOptions,
  type MirrorSettings,
} from './mirror-options.ts';
import { heartbeats } from './mirror-records.ts';
import { MirrorTask } from './mirror-task.ts';
import { MirroredTopics } from './mirrored-topics.ts';
import { SyncLedger } from './sync-ledger.ts';

/**
 * Copies topics of another log, each record once: with its key, value, timestamp and headers, into
 * the partition of the same number, whatever happens to the process. Of transactions only what is
 * committed is copied. The copies have as many partitions as their topics, and the same settings.
 *
 * It tells which offsets of both logs belong together (`mm2-offset-syncs.<alias>.internal`), and
 * where the groups of the other log would go on here (`<alias>.checkpoints.internal`,
 * `translateOffsets`), in the formats of Kafka's MirrorMaker 2. A checkpoint is never ahead of what
 * was copied.
 *
 * Nobody else may write to the copies while they are copies: a program that goes over to this log
 * writes to topics of its own, or ends the mirror first.
 *
 * @example
 * const primary = await openLog('/data/primary');
 * await new SourceRunner(log, mirror({ from: primary, alias: 'primary' })).run();
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function mirror(options: MirrorOptions): SourceConnector {
  checkOptions('mirror', options, MIRROR_CHECKS, ['from', 'alias']);
  const settings = mirrorSettings(options);
  const { from } = options;
  return {
    name: settings.name,
    topics: settings.heartbeatIntervalMs === undefined ? [] : [heartbeats],
    hasOtherTopics: true,
    isBounded: !settings.follow,
    async open(context) {
      const isOwn = typeof from === 'function';
      const log = isOwn ? await from() : from;
      const close = (): Promise<void> => (isOwn ? log.close() : Promise.resolve());
      try {
        return [await openTask(log, settings, context, close)];
      } catch (cause) {
        await close();
        throw cause;
      }
    },
  };
}

async function openTask(
  from: Log,
  settings: MirrorSettings,
  context: SourceContext,
  close: () => Promise<void>,
): Promise<MirrorTask> {
  const to = present(context.log, 'a run tells the log that it writes to');
  const topics = new MirroredTopics(from, to, settings);
  const ledger = await SyncLedger.open(to, settings.alias);
  const checkpoints = new GroupCheckpoints({ from, to, settings, ledger });
  try {
    return await MirrorTask.open({ from, settings, topics, ledger, checkpoints, context, close });
  } catch (cause) {
    await Promise.allSettled([ledger.close(), checkpoints.close()]);
    throw cause;
  }
}
