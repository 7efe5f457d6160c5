import {
  LogError,
  nodeFileSystem,
  type AlteredOffset,
  type Log,
  type OffsetTarget,
  type TopicMetadata,
} from '../../core/index.ts';
import {
  anything,
  checkOptions,
  flag,
  listOf,
  text,
  type OptionChecks,
} from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import { claimApplication } from './running-apps.ts';
import { notOurs } from './evolution.ts';
import { deleteTopics, replaceOffsets } from './evolution-steps.ts';
import {
  readLastRun,
  removeLastRunFile,
  writeLastRun,
  type GroupOffsetAt,
  type LastRun,
} from './last-run.ts';
import { holdState, removeState, stateDirectoryOf, taskDirectoriesIn } from './state-directory.ts';
import { abortLeft } from './task-groups.ts';
import { changelogTopic, isMadeInternal, isRepartitionTopic, lastRunTopic } from './topics.ts';

/** How to reset an application. */
export interface ResetOptions {
  /** The application whose state and positions are reset. */
  readonly applicationId: string;
  /** Where its input topics are read from next. Default: `'earliest'`. */
  readonly to?: OffsetTarget;
  /**
   * The input topics whose positions change; those of others stay. Default: all that it has read,
   * but not those that it makes for itself.
   */
  readonly inputTopics?: readonly string[];
  /** As of the application. Default: `streams/<applicationId>` in the log's directory. */
  readonly stateDir?: string;
  /** Only returns what would be done. Default: false. */
  readonly dryRun?: boolean;
}

/** What a reset has done, or would do. */
export interface ResetResult {
  /** The moves of positions in input topics. */
  readonly offsets: readonly AlteredOffset[];
  /** Changelogs, repartition topics and the copy of what ran last. */
  readonly deletedTopics: readonly string[];
  /** The directory whose state was removed; undefined if there was none. */
  readonly removedDirectory: string | undefined;
}

const CHECKS: OptionChecks<ResetOptions> = {
  applicationId: text,
  to: anything, // `alterGroupOffsets` checks it
  inputTopics: listOf('topics'),
  stateDir: text,
  dryRun: flag,
};

/**
 * Makes an application begin anew (Kafka: `kafka-streams-application-reset`, with the local state):
 * deletes its internal topics and its state, and moves its positions in its input topics. What it
 * has written to other topics stays. After a crash in between, the next start of the application,
 * or of the reset, ends it. Durable when it resolves.
 *
 * @throws StreamsError APPLICATION_RUNNING while it runs in this process, STATE_LOCKED while its
 *   state is used by another one; LAST_RUN_UNREADABLE, also if there are changelogs of an older
 *   version, which noted no topology; STATE_MISMATCH for the directory of another application
 * @throws LogError INVALID_OPTION if it never ran on this log; as `admin.alterGroupOffsets`:
 *   nothing was changed
 */
export async function resetApplication(log: Log, options: ResetOptions): Promise<ResetResult> {
  checkOptions('resetApplication', options, CHECKS, ['applicationId']);
  const release = claimApplication(log.api, options.applicationId);
  try {
    const directory = stateDirectoryOf(log, options);
    const work = () => reset(log, options, directory);
    const isThere = (await nodeFileSystem.stat(directory)) !== undefined;
    return await (isThere && options.dryRun !== true ? holdState(directory, work) : work());
  } finally {
    release();
  }
}

async function reset(log: Log, options: ResetOptions, directory: string): Promise<ResetResult> {
  const { applicationId, to = 'earliest', dryRun = false } = options;
  const found = await readLastRun(log, directory, applicationId);
  if (found !== undefined && found.lastRun.applicationId !== applicationId) {
    throw notOurs(found.lastRun, applicationId, directory);
  }
  const committed = await committedIn(log, applicationId);
  if (found === undefined && committed.length === 0) throw neverRan(applicationId);
  const internal = await internalTopicsOf(log, applicationId, found?.lastRun, committed);
  const inputs = [...new Set(committed.map(({ topic }) => topic))].filter((topic) => {
    return !internal.has(topic);
  });
  const { inputTopics = inputs } = options;
  const admin = log.admin();
  const offsets =
    inputTopics.length === 0
      ? []
      : await admin.alterGroupOffsets(applicationId, { to, of: inputTopics, dryRun: true });
  const hasState = (await taskDirectoriesIn(directory)).length > 0;
  const deletedTopics = [...internal, lastRunTopic(applicationId)];
  const existing = new Set(await admin.listTopics());
  const result: ResetResult = {
    offsets,
    deletedTopics: deletedTopics.filter((topic) => existing.has(topic)),
    removedDirectory: hasState ? directory : undefined,
  };
  if (dryRun) return result;
  await abortLeft(log, applicationId);
  const kept = committed.filter(({ topic }) => {
    return !internal.has(topic) && !inputTopics.includes(topic);
  });
  const moved = offsets.map((each) => ({ ...each, offset: each.to }));
  // 1. The state first: it is read back as long as the changelogs are there.
  await removeState(directory);
  // 2. From here on the next start ends the reset, before it reads anything.
  const resetTo = [...kept, ...moved].map(({ topic, partition, offset }) => {
    return { topic, partition, offset };
  });
  const nothing = { subTopologies: [], globalTables: [], topics: [] };
  const mark: LastRun = {
    ...{ applicationId, topology: nothing, topicsToDelete: [...internal], resetTo },
  };
  await writeLastRun(log, directory, mark);
  // 3. What it announces.
  await deleteTopics(log, mark.topicsToDelete);
  await replaceOffsets(log, applicationId, resetTo);
  // 4. The mark itself.
  await deleteTopics(log, [lastRunTopic(applicationId)]);
  await removeLastRunFile(directory);
  return result;
}

async function committedIn(log: Log, groupId: string): Promise<GroupOffsetAt[]> {
  const { offsets } = await log.api.offsetFetch({ groupId, requireStable: false });
  return offsets.flatMap(({ topic, partition, offset, error }) => {
    if (error !== undefined) throw LogError.fromData(error);
    return offset < 0 ? [] : [{ topic, partition, offset }];
  });
}

/**
 * The topics that it has made for itself: those of its last topology, and repartition topics that
 * it has read. Another application's may begin with the same name, and may be its input.
 *
 * @throws StreamsError LAST_RUN_UNREADABLE if nothing tells which changelogs are its own
 */
async function internalTopicsOf(
  log: Log,
  applicationId: string,
  lastRun: LastRun | undefined,
  committed: readonly GroupOffsetAt[],
): Promise<Set<string>> {
  const { topics } = await log.api.metadata({});
  if (lastRun === undefined) checkNoChangelogs(applicationId, topics);
  const parts = lastRun?.topology.subTopologies ?? [];
  const changelogs = parts.flatMap(({ stores }) => {
    const own = stores.filter(({ hasChangelog }) => hasChangelog);
    return own.map(({ name }) => changelogTopic(applicationId, name));
  });
  const repartitions = (lastRun?.topology.topics ?? []).flatMap(({ name, isInternal }) => {
    return isInternal ? [`${applicationId}-${name}`] : [];
  });
  const inputs = (lastRun?.topology.topics ?? []).filter(({ isInternal }) => !isInternal);
  const isInput = new Set(inputs.map(({ name }) => name));
  const read = new Set(committed.map(({ topic }) => topic).filter((topic) => !isInput.has(topic)));
  const left = topics.filter((each) => {
    const isOwn = isRepartitionTopic(applicationId, each.topic);
    return isOwn && read.has(each.topic) && isMadeInternal(applicationId, each);
  });
  const announced = lastRun?.topicsToDelete ?? [];
  return new Set([...changelogs, ...repartitions, ...left.map(({ topic }) => topic), ...announced]);
}

/** A version before that description may have run it: what it has kept would outlive the reset. */
function checkNoChangelogs(applicationId: string, topics: readonly TopicMetadata[]): void {
  const changelogs = topics.filter((each) => {
    return each.topic.endsWith('-changelog') && isMadeInternal(applicationId, each);
  });
  if (changelogs.length === 0) return;
  const file = `topic ${lastRunTopic(applicationId)}`;
  const names = changelogs.map(({ topic }) => topic).join(', ');
  const reason = `it is missing, and ${names} may belong to ${applicationId}`;
  const message =
    `what ran last cannot be read from ${file}: ${reason}; start the application once with this ` +
    'version of Millrace, and then reset it';
  throw new StreamsError('LAST_RUN_UNREADABLE', message, { file, reason });
}

function neverRan(applicationId: string): LogError {
  const allowed = 'an application that has run on this log';
  const message = `resetApplication: applicationId must be ${allowed}, not ${applicationId}`;
  const details = { option: 'applicationId', value: applicationId, allowed };
  return new LogError('INVALID_OPTION', message, details);
}
