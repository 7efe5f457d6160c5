import { LogError, type Log, type Logger } from '../../core/index.ts';
import { show } from '../../core/internal.ts';
import { StreamsError } from '../errors.ts';
import { dropStores } from '../state/lmdb-environment.ts';
import { diffTopologies, storesOf, type TopologyChange } from '../topology/topology-diff.ts';
import type { TopologyModel } from '../topology/topology-model.ts';
import {
  copyTopic,
  deleteTopics,
  hasRecords,
  renameTimes,
  replaceOffsets,
  skipUnread,
} from './evolution-steps.ts';
import { readLastRun, writeLastRun, type FoundLastRun, type LastRun } from './last-run.ts';
import type { CommitStep } from './commit.ts';
import type { StreamsSettings } from './options.ts';
import type { Plan } from './plan.ts';
import { removeState, stateDirectoryOf, taskDirectoriesIn } from './state-directory.ts';
import { abortLeft } from './task-groups.ts';
import { changelogTopic } from './topics.ts';
import { unreadIn, warnOfUnread } from './unread-topics.ts';

/** What a start has to do because the topology has changed. */
interface Steps {
  /** The stores that have new names, as pairs of the old and the new one. */
  readonly renamed: readonly (readonly [from: string, to: string])[];
  /** Stores of the last run whose copies on the disk are of no use any more. */
  readonly localToDrop: readonly string[];
  /** Changelogs of the last run that are deleted. */
  readonly topicsToDelete: readonly string[];
  /** Repartition topics whose unread records are given up. */
  readonly toSkip: readonly string[];
  /** Nodes whose times others take over, as pairs of the old and the new one. */
  readonly times: readonly (readonly [from: string, to: string])[];
}

/**
 * Compares the topology with what ran last, before anything of it is read or written: refuses a
 * start that would lose or misread state, and otherwise makes the state that of the new topology
 * [EVO-STATE-1].
 *
 * Each step leaves what the next start understands, whichever topology that has:
 * 1. what an interrupted start has to delete is deleted;
 * 2. the copies that are about to be made are noted as things to delete;
 * 3. local state that fits no longer is dropped: it can be read back from the changelogs, the old
 *    ones, too. Changelogs of renamed stores are copied, times handed over;
 * 4. the new topology is noted, with the topics that go: **the** point of no return;
 * 5. they are deleted, and that is noted.
 *
 * @throws StreamsError STATE_MISMATCH, LAST_RUN_UNREADABLE; LogError INVALID_OPTION
 */
export async function evolveState(log: Log, plan: Plan, settings: StreamsSettings): Promise<void> {
  const { applicationId, logger, renamedStores = {} } = settings;
  const directory = stateDirectoryOf(log, settings);
  const topology = asJson(plan.topology.describe());
  checkRenames(topology, renamedStores);
  const found = await readLastRun(log, directory, applicationId);
  if (found !== undefined && found.lastRun.applicationId !== applicationId) {
    if (plan.topology.stores.size > 0) throw notOurs(found.lastRun, applicationId, directory);
    await warnOfUnread(log, plan, logger); // without stores, it may share a directory
    return;
  }
  const now: LastRun = { applicationId, topology, topicsToDelete: [] };
  if (found === undefined) {
    await warnOfUnread(log, plan, logger);
    await writeLastRun(log, directory, now);
    return;
  }
  const { lastRun } = found;
  const isSame = JSON.stringify(lastRun.topology) === JSON.stringify(topology);
  const onStep = (isSame ? undefined : settings.onStep) ?? ignore;
  const { topicsToDelete, resetTo } = lastRun;
  if (topicsToDelete.length > 0 || resetTo !== undefined) {
    onStep('evolve-1-delete');
    await deleteTopics(log, topicsToDelete);
    if (resetTo !== undefined) await replaceOffsets(log, applicationId, resetTo);
  } else if (isSame && found.isOfState && found.isWhole) {
    await warnOfUnread(log, plan, logger);
    return;
  }
  await abortLeft(log, applicationId); // what a killed process left open would hide the ends
  const steps = await decide({ log, plan, settings, before: lastRun.topology, topology });
  await carryOut(steps, { log, directory, found, now, onStep });
}

/** Called before each step; a test ends the process there. */
type OnStep = (step: CommitStep) => void;

function ignore(): void {
  // the topology is the same, or nobody asked for the steps
}

async function carryOut(
  steps: Steps,
  parts: {
    readonly log: Log;
    readonly directory: string;
    readonly found: FoundLastRun;
    readonly now: LastRun;
    readonly onStep: OnStep;
  },
): Promise<void> {
  const { log, directory, found, now, onStep } = parts;
  const { applicationId } = now;
  const copies = steps.renamed.map(([from, to]) => {
    return [changelogTopic(applicationId, from), changelogTopic(applicationId, to)] as const;
  });
  // It may be older than what the changelogs have; the next write says that it is not.
  if (!found.isOfState) await removeState(directory);
  if (copies.length > 0) {
    onStep('evolve-2-announce');
    const topicsToDelete = copies.map(([, to]) => to);
    await writeLastRun(log, directory, { ...found.lastRun, topicsToDelete });
  }

  onStep('evolve-3-local');
  const dropped = [...steps.localToDrop, ...steps.renamed.map(([from]) => from)];
  for (const each of await taskDirectoriesIn(directory)) await dropStores(each, dropped);
  for (const [from, to] of copies) {
    onStep('evolve-3-copy');
    await deleteTopics(log, [to]); // an empty one
    await copyTopic(log, from, to);
  }
  onStep('evolve-3-times');
  await renameTimes(log, applicationId, steps.times);
  for (const topic of steps.toSkip) await skipUnread(log, applicationId, topic);

  onStep('evolve-4-note');
  const topicsToDelete = [...steps.topicsToDelete, ...copies.map(([from]) => from)];
  await writeLastRun(log, directory, { ...now, topicsToDelete });
  if (topicsToDelete.length === 0) return;

  onStep('evolve-5-delete');
  await deleteTopics(log, topicsToDelete);
  onStep('evolve-5-note');
  await writeLastRun(log, directory, now);
}

interface Deciding {
  readonly log: Log;
  readonly plan: Plan;
  readonly settings: StreamsSettings;
  readonly before: TopologyModel;
  readonly topology: TopologyModel;
}

/** Finds out what to do; changes nothing. @throws StreamsError STATE_MISMATCH */
async function decide(deciding: Deciding): Promise<Steps> {
  const { log, plan, settings, before, topology } = deciding;
  const { applicationId, renamedStores = {}, dropState = [], logger } = settings;
  const { changes } = diffTopologies(topology, before, { renamedStores });
  const obstacles: Obstacle[] = [];
  const steps = {
    renamed: [] as [string, string][],
    localToDrop: [] as string[],
    topicsToDelete: [] as string[],
    toSkip: [] as string[],
  };
  const given = new Set<string>();
  for (const change of changes.filter(({ subject }) => subject === 'store')) {
    const { name, effect } = change;
    const was = change.change === 'renamed' ? renamedStores[name]! : name;
    if (effect === 'safe') continue;
    const { hasChangelog: hasTopic, topic: usersTopic } = storesOf(before).get(was)!.store;
    if (effect === 'migrate') {
      if (change.change !== 'renamed') steps.localToDrop.push(...localOf(change));
      else if (hasTopic) steps.renamed.push([was, name]);
      else steps.localToDrop.push(was);
      continue;
    }
    const changelog = changelogTopic(applicationId, was);
    const source = hasTopic ? changelog : (usersTopic ?? '');
    if (!dropState.includes(was) && (await hasRecords(log, source)))
      obstacles.push({ name: was, change });
    else {
      given.add(was);
      steps.localToDrop.push(was);
      if (hasTopic) steps.topicsToDelete.push(changelog);
    }
  }
  for (const change of changes.filter((each) => each.subject === 'internal topic')) {
    if (change.effect !== 'migrate') continue;
    const topic = `${applicationId}-${change.name}`;
    if (!(await mayBeUnread(log, applicationId, topic))) continue;
    if (dropState.includes(change.name)) {
      given.add(change.name);
      steps.toSkip.push(topic);
    } else obstacles.push({ name: change.name, change });
  }
  for (const [, to] of steps.renamed) {
    const topic = changelogTopic(applicationId, to);
    if (await hasRecords(log, topic)) throw alreadyThere(applicationId, to, topic);
  }
  if (obstacles.length > 0) throw mismatch(applicationId, obstacles, topology, before);
  warnOfUseless(dropState, given, topology, logger);
  await warnOfUnread(log, plan, logger, new Set(steps.toSkip));
  return { ...steps, times: timesOf(before, topology, renamedStores) };
}

/** Of a topic that cannot be read, `warnOfUnread` tells. */
function mayBeUnread(log: Log, applicationId: string, topic: string): Promise<boolean> {
  return unreadIn(log, applicationId, topic).catch(() => false);
}

/** Only if its content on the disk is of no use: not if just its node has another name. */
function localOf({ name, fields }: TopologyChange): string[] {
  return fields.some(({ field }) => field !== 'node of its time') ? [name] : [];
}

/** The nodes of stores whose time has another name now. */
function timesOf(
  before: TopologyModel,
  topology: TopologyModel,
  renamed: Readonly<Record<string, string>>,
): [string, string][] {
  const old = storesOf(before);
  return [...storesOf(topology)].flatMap(([name, { store }]): [string, string][] => {
    const was = old.get(name) ?? old.get(renamed[name] ?? '');
    const [from, to] = [was?.store.timeNode, store.timeNode];
    return from === undefined || to === undefined || from === to ? [] : [[from, to]];
  });
}

/** What keeps the application from starting. */
interface Obstacle {
  /** Of the store, or of the repartition topic without the application's id. */
  readonly name: string;
  readonly change: TopologyChange;
}

function mismatch(
  applicationId: string,
  obstacles: readonly Obstacle[],
  topology: TopologyModel,
  before: TopologyModel,
): StreamsError {
  const what = obstacles.map(({ name, change }) => {
    const { subject, fields, reason } = change;
    const differing = fields.map((each) => `${each.field} ${each.before} -> ${each.after}`);
    const difference = differing.length === 0 ? change.change : differing.join(', ');
    return subject === 'store'
      ? `store ${name} (${difference}): ${reason}`
      : `${name} (${difference}): it has records that are not processed`;
  });
  const names = obstacles.map(({ name }) => name);
  const ways = [
    `go back to the topology that ran last (millrace app topology shows it)`,
    ...renameHint(obstacles, topology, before),
    ...serdeHint(obstacles),
    ...(obstacles.some(({ change }) => change.subject !== 'store')
      ? ['process what waits, by running that topology once more with finish()']
      : []),
    `drop it for good with dropState: [${names.map((name) => `'${name}'`).join(', ')}]`,
    `or process everything again after millrace app reset --app ${applicationId}`,
  ];
  const message =
    `${applicationId} cannot start with this topology, which would lose or misread what the last ` +
    `one has kept: ${what.join('; ')}. Ways out: ${ways.join('; ')}`;
  return new StreamsError('STATE_MISMATCH', message, { applicationId, names });
}

function renameHint(
  obstacles: readonly Obstacle[],
  topology: TopologyModel,
  before: TopologyModel,
): string[] {
  const old = storesOf(before);
  const fresh = [...storesOf(topology).keys()].filter((name) => !old.has(name));
  const gone = obstacles.find(({ change: { subject, change } }) => {
    return subject === 'store' && change === 'removed';
  });
  if (gone === undefined || fresh.length === 0) return [];
  return [`if it has a new name, move it with renamedStores: { '${fresh[0]}': '${gone.name}' }`];
}

function serdeHint(obstacles: readonly Obstacle[]): string[] {
  const isSerde = obstacles.some(({ change }) => {
    return change.fields.some(({ field }) => field === 'value serde');
  });
  const hint = 'let the new serde read what the old one wrote, with versioned() or Serde.reads';
  return isSerde ? [hint] : [];
}

function alreadyThere(applicationId: string, store: string, topic: string): StreamsError {
  const message =
    `${applicationId} cannot give a store the new name ${store}: there is a topic ${topic} with ` +
    'records already; delete it, or choose another name';
  return new StreamsError('STATE_MISMATCH', message, { applicationId, names: [store] });
}

/** The error of a directory that has the state of another application. */
export function notOurs(lastRun: LastRun, applicationId: string, directory: string): StreamsError {
  const message =
    `${directory} has the state of the application ${lastRun.applicationId}, not of ` +
    `${applicationId}; give each application a stateDir of its own`;
  return new StreamsError('STATE_MISMATCH', message, { applicationId, names: [] });
}

/** @throws LogError INVALID_OPTION */
function checkRenames(topology: TopologyModel, renamed: Readonly<Record<string, string>>): void {
  const now = storesOf(topology);
  for (const [to, from] of Object.entries(renamed)) {
    const reason = !now.has(to)
      ? `the topology has no store ${to}`
      : now.has(from)
        ? `the topology still has a store ${from}`
        : undefined;
    if (reason === undefined) continue;
    const allowed = 'the old names of stores, which are gone, by the new ones';
    const value = show(renamed);
    const message = `StreamsApp: renamedStores must be ${allowed}, not ${value}: ${reason}`;
    throw new LogError('INVALID_OPTION', message, { option: 'renamedStores', value, allowed });
  }
}

/** What stays in `dropState` would one day drop something that nobody meant. */
function warnOfUseless(
  dropState: readonly string[],
  given: ReadonlySet<string>,
  topology: TopologyModel,
  logger: Logger,
): void {
  const now = storesOf(topology);
  for (const name of dropState) {
    if (given.has(name)) logger.warn(`${name} is dropped, as dropState says`);
    else if (now.has(name)) {
      logger.warn(`dropState names ${name}, which fits the topology and is kept: remove it there`);
    }
  }
}

/** As it will be read again: without what is undefined. */
function asJson(model: TopologyModel): TopologyModel {
  return JSON.parse(JSON.stringify(model)) as TopologyModel;
}
