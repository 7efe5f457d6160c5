import { LogError, type Log } from '../../core/index.ts';
import {
  able,
  callback,
  flag,
  integer,
  oneOf,
  text,
  type OptionChecks,
} from '../../core/internal.ts';

/** Names, and patterns that are looked for anywhere in a name. */
export type NameFilter = readonly (string | RegExp)[];

/** What `mirror` copies, and how. */
export interface MirrorOptions {
  /** Identifies the mirror in the log, for ever. Default: `mirror-<alias>`. */
  readonly name?: string;
  /**
   * The log that is copied. A function opens it when the run begins, and the run closes it again.
   */
  readonly from: Log | (() => Promise<Log>);
  /** What the log is called here: it begins the names of topics. Letters, digits, `_` and `-`. */
  readonly alias: string;
  /**
   * What this log is called there. Topics `<targetAlias>.…` of the other log are mirrors of this
   * one and are not copied back. Default: there are none.
   */
  readonly targetAlias?: string;
  /** The topics that are copied, also those that come later. Default: all. */
  readonly topics?: NameFilter;
  /** Topics that are not. Default: internal ones, and those of Kafka Connect. */
  readonly exclude?: NameFilter;
  /**
   * What copies are called: as in Kafka's DefaultReplicationPolicy `<alias>.<topic>`, as in its
   * IdentityReplicationPolicy the same, or what a function makes of the name. Default: `default`.
   */
  readonly policy?: 'default' | 'identity' | ((topic: string) => string);
  /**
   * True: goes on until it is stopped. False: copies what is there when it begins, then ends.
   * Default: true.
   */
  readonly follow?: boolean;
  /**
   * How often to look for new topics, partitions and settings, in milliseconds. Default: 10,000.
   */
  readonly refreshIntervalMs?: number;
  /**
   * Whether copies get the settings of their topics, but for those about timestamps, which stay as
   * they are. Default: true.
   */
  readonly syncConfigs?: boolean;
  /** The consumer groups whose offsets are translated. Default: all. */
  readonly groups?: NameFilter;
  /** Groups whose are not. Default: those of Kafka Connect, console consumers, and `__…`. */
  readonly excludeGroups?: NameFilter;
  /** How often groups are looked at, in milliseconds. Default: 5,000. */
  readonly checkpointIntervalMs?: number;
  /**
   * Commits translated offsets for the groups of the same names here, forwards only and while they
   * have no members. Default: false.
   */
  readonly syncGroupOffsets?: boolean;
  /** How often a record goes to the topic `heartbeats`, in milliseconds. Default: never. */
  readonly heartbeatIntervalMs?: number;
  /**
   * What to do if records are gone, by retention, before they were copied: end with
   * OFFSET_OUT_OF_RANGE, or go on behind them. Default: `fail`.
   */
  readonly lostRecords?: 'fail' | 'skip';
}

function filter(value: unknown): string | undefined {
  const isFilter =
    Array.isArray(value) &&
    value.every((each) => each instanceof RegExp || text(each) === undefined);
  return isFilter ? undefined : 'a list of names and regular expressions';
}

const ALIAS = /^[\w-]{1,100}$/;
const alias = (value: unknown): string | undefined =>
  typeof value === 'string' && ALIAS.test(value) ? undefined : 'a name of a-z A-Z 0-9 _ -';

export const MIRROR_CHECKS: OptionChecks<MirrorOptions> = {
  name: text,
  from: (value) =>
    callback(value) === undefined
      ? undefined
      : able('a log, or a function that opens one', 'admin', 'consumer')(value),
  alias,
  targetAlias: alias,
  topics: filter,
  exclude: filter,
  policy: (value) =>
    callback(value) === undefined
      ? undefined
      : oneOf('default', 'identity')(value) && '"default", "identity", or a function',
  follow: flag,
  refreshIntervalMs: integer(1),
  syncConfigs: flag,
  groups: filter,
  excludeGroups: filter,
  checkpointIntervalMs: integer(1),
  syncGroupOffsets: flag,
  heartbeatIntervalMs: integer(1),
  lostRecords: oneOf('fail', 'skip'),
};

/** As MirrorMaker's, and what connectors of this log keep. */
const EXCLUDED_TOPICS: NameFilter = [
  /^__/,
  /[-.]internal$/,
  /\.replica$/,
  /^connect-(offsets|configs|status)$/,
];
/** As MirrorMaker's. */
const EXCLUDED_GROUPS: NameFilter = [/^console-consumer-/, /^connect-/, /^__/];

/** `MirrorOptions` with every default filled in. */
export type MirrorSettings = Required<
  Omit<MirrorOptions, 'targetAlias' | 'heartbeatIntervalMs' | 'from'>
> &
  Pick<MirrorOptions, 'targetAlias' | 'heartbeatIntervalMs'>;

/** Fills in the defaults. */
export function mirrorSettings(options: MirrorOptions): MirrorSettings {
  const { targetAlias, heartbeatIntervalMs } = options;
  return {
    name: options.name ?? `mirror-${options.alias}`,
    alias: options.alias,
    ...(targetAlias !== undefined && { targetAlias }),
    topics: options.topics ?? [/(?:)/],
    exclude: options.exclude ?? EXCLUDED_TOPICS,
    policy: options.policy ?? 'default',
    follow: options.follow ?? true,
    // MirrorMaker: 10 min. In the same process a look costs next to nothing.
    refreshIntervalMs: options.refreshIntervalMs ?? 10_000,
    syncConfigs: options.syncConfigs ?? true,
    groups: options.groups ?? [/(?:)/],
    excludeGroups: options.excludeGroups ?? EXCLUDED_GROUPS,
    // MirrorMaker: 60 s, for the same reason.
    checkpointIntervalMs: options.checkpointIntervalMs ?? 5_000,
    syncGroupOffsets: options.syncGroupOffsets ?? false,
    ...(heartbeatIntervalMs !== undefined && { heartbeatIntervalMs }),
    lostRecords: options.lostRecords ?? 'fail',
  };
}

/** True if a filter has a name. */
export function matches(names: NameFilter, name: string): boolean {
  return names.some((each) => (typeof each === 'string' ? each === name : name.search(each) >= 0));
}

/** The name of a topic's copy. @throws LogError INVALID_OPTION if a function makes none. */
export function targetName({ policy, alias: from }: MirrorSettings, topic: string): string {
  if (policy === 'default') return `${from}.${topic}`;
  if (policy === 'identity') return topic;
  const name: unknown = policy(topic);
  if (typeof name === 'string' && name !== '') return name;
  const allowed = 'a function that makes a name of every topic';
  const message = `mirror: policy must be ${allowed}, and it makes none of ${topic}`;
  throw new LogError('INVALID_OPTION', message, { option: 'policy', value: topic, allowed });
}
