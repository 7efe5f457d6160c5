import { LogError, type Log, type Producer } from '../../core/index.ts';
import { commitOffsets } from '../../core/internal.ts';
import { checkpoints, type Checkpoint, type CheckpointKey } from './mirror-records.ts';
import { matches, type MirrorSettings } from './mirror-options.ts';
import type { SyncedPartition, SyncLedger } from './sync-ledger.ts';

export interface GroupCheckpointsOptions {
  readonly from: Log;
  readonly to: Log;
  readonly settings: MirrorSettings;
  readonly ledger: SyncLedger;
}

/** A checkpoint of a group that is new. */
interface Moved {
  readonly key: CheckpointKey;
  readonly value: Checkpoint;
}

/**
 * Translates what groups of the source have committed, and tells it in a topic as MirrorMaker's
 * checkpoints; for groups of the same names here it may commit that.
 */
export class GroupCheckpoints {
  readonly #options: GroupCheckpointsOptions;
  readonly #topic: ReturnType<typeof checkpoints>;
  readonly #producer: Producer;
  /** What was told last, by group and partition. */
  readonly #told = new Map<string, string>();

  constructor(options: GroupCheckpointsOptions) {
    this.#options = options;
    this.#topic = checkpoints(options.settings.alias);
    this.#producer = options.to.producer();
  }

  /** Tells what has moved since the last call, of partitions that are mirrored. */
  async emit(partitions: readonly SyncedPartition[]): Promise<void> {
    const { from, settings } = this.#options;
    const { groups, excludeGroups, syncGroupOffsets } = settings;
    for (const { groupId } of await from.admin().listGroups()) {
      if (!matches(groups, groupId) || matches(excludeGroups, groupId)) continue;
      const moved = await this.#translate(groupId, partitions);
      const sent = moved.map((each) => this.#producer.send(this.#topic, each));
      if (syncGroupOffsets && moved.length > 0) await this.#commit(groupId, moved);
      await Promise.all(sent);
      for (const { key, value } of moved) this.#told.set(keyOf(key), JSON.stringify(value));
    }
  }

  /** Releases the producer. */
  close(): Promise<void> {
    return this.#producer.close();
  }

  async #translate(
    group: string,
    partitions: readonly SyncedPartition[],
  ): Promise<readonly Moved[]> {
    const { from, ledger } = this.#options;
    const request = { groupId: group, requireStable: false };
    const { offsets } = await from.api.offsetFetch(request);
    return offsets.flatMap(({ topic, partition, offset: upstreamOffset, metadata, error }) => {
      if (error !== undefined || upstreamOffset < 0) return [];
      const mirrored = partitions.find((each) => {
        return each.topic === topic && each.partition === partition;
      });
      const offset = mirrored && ledger.translate(mirrored, upstreamOffset);
      if (mirrored === undefined || offset === undefined) return [];
      const key = { group, topic: mirrored.target, partition };
      const value = { upstreamOffset, offset, metadata };
      return this.#told.get(keyOf(key)) === JSON.stringify(value) ? [] : [{ key, value }];
    });
  }

  /** Commits for the group of the same name, unless it is at work or further on. */
  async #commit(groupId: string, moved: readonly Moved[]): Promise<void> {
    const { to } = this.#options;
    const { groups } = await to.api.describeGroups({ groupIds: [groupId] });
    const state = groups[0]?.error === undefined ? groups[0]?.state : 'Dead';
    if (state !== 'Empty' && state !== 'Dead') return;
    const { offsets } = await to.api.offsetFetch({ groupId, requireStable: false });
    const current = new Map(
      offsets.map((each) => [keyOf({ group: groupId, ...each }), each.offset]),
    );
    const further = moved.filter(({ key, value }) => {
      return value.offset > (current.get(keyOf(key)) ?? -1);
    });
    if (further.length === 0) return;
    const places = further.map(({ key: { topic, partition }, value: { offset, metadata } }) => {
      return { topic, partition, offset, metadata };
    });
    try {
      await commitOffsets(to, groupId, places);
    } catch (cause) {
      // A member that joined just now goes on where it stands.
      if (!LogError.is(cause, 'UNKNOWN_MEMBER_ID')) throw cause;
    }
  }
}

function keyOf({ group, topic, partition }: CheckpointKey): string {
  return `${group} ${topic}-${partition}`;
}
