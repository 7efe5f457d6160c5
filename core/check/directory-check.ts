import { join } from 'node:path';
import { encodeCheckpoint } from '../broker/checkpoint-file.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import {
  CLEANED_FILE,
  HIGH_WATERMARK_FILE,
  LOG_START_FILE,
  RECOVERY_POINT_FILE,
} from '../broker/checkpoints.ts';
import { partitionMetadata } from '../broker/data-directory.ts';
import { INTERNAL_TOPIC_CONFIG, isInternal } from '../broker/internal-topics.ts';
import { PRODUCER_IDS_FILE } from '../broker/producer-ids.ts';
import { toLogConfig, type TopicConfig } from '../protocol/topic-config.ts';
import {
  encodeTopicList,
  readTopicList,
  TOPIC_LIST_FILE,
  type ListedTopic,
} from '../broker/topic-list.ts';
import { LogError } from '../errors.ts';
import {
  LEADER_EPOCH_FILE,
  LOG_SUFFIX,
  offsetName,
  PARTITION_METADATA_FILE,
  partitionDirectory,
} from '../log/segment/file-names.ts';
import { encodeLeaderEpochs, FIRST_LEADER_EPOCHS, readLeaderEpochs } from '../log/leader-epochs.ts';
import { LOG_CONFIG_DEFAULTS, type LogConfig } from '../log/log-config.ts';
import { errnoOf } from '../storage/node-fs.ts';
import type { DataRoot, FoundPartition } from './data-root.ts';
import { REPAIR, type Finding, type Mend } from './finding.ts';
import { hole } from './hole.ts';
import { settledView, type ReadableFiles } from './left-overs.ts';
import { PartitionCheck, type CheckedPartition } from './partition-check.ts';
import { decoderOf } from './record-check.ts';

/** A partition and its findings. */
export interface FoundIn extends CheckedPartition, FoundPartition {}

export interface DirectoryCheckOptions {
  readonly files: ReadableFiles;
  readonly nowMs: number;
  /** Called after each partition. */
  readonly onPartition?: (partition: FoundIn) => void;
}

/** The findings of a data directory outside its partitions. */
export interface CheckedDirectory {
  readonly partitions: readonly FoundIn[];
  readonly findings: readonly Finding[];
}

/** Reads all partitions of a directory and compares the files at its root with them. */
export async function checkDirectory(
  root: DataRoot,
  options: DirectoryCheckOptions,
): Promise<CheckedDirectory> {
  const findings: Finding[] = [...root.findings];
  const partitions: FoundIn[] = [];
  for (const partition of root.partitions) {
    const found = await checkUnlessDeleted(root, partition, options);
    if (found === undefined) continue;
    partitions.push(found);
    options.onPartition?.(found);
  }
  // The files at the root of a live log may be newer than the partitions that were just read.
  if (root.ownerPid === undefined) {
    if (root.only === undefined) findings.push(...checkList(root));
    findings.push(...checkOffsets(root, partitions), ...checkProducerIds(root, partitions));
  }
  return { partitions, findings };
}

/**
 * Checks a partition. Returns undefined if the process that has the log open deleted the topic
 * meanwhile: then its files vanished one by one during the check.
 */
async function checkUnlessDeleted(
  root: DataRoot,
  partition: FoundPartition,
  options: DirectoryCheckOptions,
): Promise<FoundIn | undefined> {
  if (root.ownerPid === undefined) return checkPartition(root, partition, options);
  let found: FoundIn | undefined;
  let failure: unknown;
  try {
    found = await checkPartition(root, partition, options);
    if (found.findings.length === 0) return found;
  } catch (cause) {
    failure = cause;
  }
  if (await isDeleted(root, partition, options.files)) return undefined;
  if (found === undefined) throw failure;
  return found;
}

/** Whether the topic is gone from the list, which changes before any file is removed. */
async function isDeleted(
  root: DataRoot,
  { topic, directory }: FoundPartition,
  files: ReadableFiles,
): Promise<boolean> {
  const before = root.listed.find(({ name }) => name === topic);
  const listed = await readTopicList(files, root.directory);
  const now = listed.find(({ name, isDeleted: isGone }) => name === topic && isGone !== true);
  if (now === undefined) return before !== undefined || (await files.stat(directory)) === undefined;
  return before !== undefined && before.topicId !== now.topicId;
}

async function checkPartition(
  root: DataRoot,
  partition: FoundPartition,
  { files: disk, nowMs }: DirectoryCheckOptions,
): Promise<FoundIn> {
  const { topic, partition: number, directory } = partition;
  const key = partitionKey(topic, number);
  const listed = root.listed.find(({ name }) => name === topic);
  const isLive = root.ownerPid !== undefined;
  const leaderEpochs = await readLeaderEpochs(disk, directory);
  const recoveryPoint = root.recoveryPoints.get(key) ?? 0;
  const { files, notes } = await settledView(disk, directory);
  const check = new PartitionCheck({
    fileSystem: files,
    directory,
    place: { topic, partition: number },
    config: configOf(topic, listed),
    recoveryPoint,
    recordedHighWatermark: root.highWatermarks.get(key) ?? -1,
    isClean: root.isClean && root.recoveryPoints.has(key),
    leaderEpochs,
    logStartOffset: root.logStarts.get(key) ?? 0,
    isLive,
    nowMs,
    decode: decoderOf(topic),
  });
  const found = await check.run();
  // A live log still works on them.
  const findings = isLive ? [...found.findings] : [...notes, ...found.findings];
  if (listed !== undefined) {
    findings.push(...(await checkMetadata(disk, directory, listed.topicId)));
  }
  return { ...found, ...partition, findings };
}

/**
 * The settings of a topic. Replaces unknown ones, which are reported elsewhere, by the defaults.
 */
function configOf(topic: string, listed: ListedTopic | undefined): LogConfig {
  if (listed !== undefined) return toLogConfig(knownConfig(listed.config));
  return isInternal(topic) ? toLogConfig(INTERNAL_TOPIC_CONFIG) : LOG_CONFIG_DEFAULTS;
}

function knownConfig(config: TopicConfig): TopicConfig {
  const entries = Object.entries(config).filter(([name, value]) => {
    try {
      toLogConfig({ [name]: value });
      return true;
    } catch (cause) {
      if (LogError.is(cause, 'INVALID_CONFIG') || cause instanceof TypeError) return false;
      throw cause;
    }
  });
  return Object.fromEntries(entries);
}

async function checkMetadata(
  files: ReadableFiles,
  directory: string,
  topicId: string,
): Promise<Finding[]> {
  const file = join(directory, PARTITION_METADATA_FILE);
  const expected = partitionMetadata(topicId);
  const content = await readIfThere(files, file);
  // Earlier versions wrote a line end, which is just as valid.
  if (content?.replace(/\n$/, '') === expected.toString()) return [];
  const what = content === undefined ? 'it is missing' : `it does not name topic id ${topicId}`;
  const meaning = `No record is affected; only Kafka reads it. Recreate it: ${REPAIR}`;
  const mends = [{ kind: 'write', file, content: expected }] as const;
  return [{ severity: 'problem', file, what, meaning, mends }];
}

async function readIfThere(files: ReadableFiles, path: string): Promise<string | undefined> {
  try {
    return (await files.readFile(path)).toString('utf8');
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw cause;
  }
}

/** Compares the list of topics with the existing directories. */
function checkList(root: DataRoot): Finding[] {
  const { listed, directory, partitions, hasList } = root;
  if (!hasList || listed.length === 0) return []; // Kafka has no such list
  const findings: Finding[] = [];
  const file = join(directory, TOPIC_LIST_FILE);
  const counts = new Map<string, number>();
  for (const { topic, partition } of partitions) {
    counts.set(topic, Math.max(counts.get(topic) ?? 0, partition + 1));
  }
  const corrected: ListedTopic[] = [];
  const report = (what: string, meaning: string): void => {
    findings.push({ severity: 'problem', file, what, meaning: `${meaning}: ${REPAIR}`, mends: [] });
  };
  for (const topic of listed) {
    const { name } = topic;
    const count = counts.get(name) ?? 0;
    const config = knownConfig(topic.config);
    if (Object.keys(config).length < Object.keys(topic.config).length) {
      report(`topic ${name} has an invalid setting`, 'The log does not open. Remove the setting');
    }
    if (count > topic.partitions && topic.isDeleted !== true) {
      const what = `topic ${name} has ${count} partitions, and ${topic.partitions} are listed`;
      report(what, 'The others cannot be read until the list has them');
    }
    const isAbsent = count === 0 && isRecorded(root, topic);
    if (isAbsent) {
      const meaning = 'The log does not open. The topic is lost. Remove it from the list';
      report(`topic ${name} has no directory`, meaning);
      continue;
    }
    corrected.push({ ...topic, config, partitions: Math.max(count, topic.partitions) });
    if (topic.isDeleted !== true) findings.push(...missingPartitions(root, topic));
  }
  const isWrong = findings.findIndex((finding) => finding.file === file);
  if (isWrong < 0) return findings;
  const mend: Mend = { kind: 'write', file, content: encodeTopicList(corrected) };
  return findings.map((finding, index) =>
    index === isWrong ? { ...finding, mends: [mend] } : finding,
  );
}

/** True if records of a listed topic were durable, or the topic existed at a clean end. */
function isRecorded(root: DataRoot, topic: ListedTopic): boolean {
  if (topic.isDeleted === true) return false;
  const keys = Array.from({ length: topic.partitions }, (_, at) => partitionKey(topic.name, at));
  return root.isClean || keys.some((key) => (root.recoveryPoints.get(key) ?? 0) > 0);
}

/** Findings for a topic with only some of its partitions. */
function missingPartitions(root: DataRoot, topic: ListedTopic): Finding[] {
  const findings: Finding[] = [];
  for (let partition = 0; partition < topic.partitions; partition++) {
    const isThere = root.partitions.some(
      (found) => found.topic === topic.name && found.partition === partition,
    );
    const recoveryPoint = root.recoveryPoints.get(partitionKey(topic.name, partition)) ?? 0;
    if (isThere || (recoveryPoint === 0 && !root.isClean)) continue; // the opening creates it
    const directory = join(root.directory, partitionDirectory(topic.name, partition));
    const epochs = encodeLeaderEpochs(FIRST_LEADER_EPOCHS);
    const mends: Mend[] = [
      { kind: 'write', file: join(directory, LEADER_EPOCH_FILE), content: epochs },
      {
        kind: 'write',
        file: join(directory, PARTITION_METADATA_FILE),
        content: partitionMetadata(topic.topicId),
      },
    ];
    if (recoveryPoint > 0) {
      const file = join(directory, offsetName(0) + LOG_SUFFIX);
      mends.unshift({ kind: 'write', file, content: hole(0, recoveryPoint) });
      const { indexIntervalBytes: intervalBytes } = configOf(topic.name, topic);
      mends.push({ kind: 'reindex', file, intervalBytes });
    }
    const what = `the partition is missing; it had records up to offset ${recoveryPoint}`;
    const meaning = `They are lost. Create an empty partition that continues after them: ${REPAIR}`;
    findings.push({ severity: 'problem', file: directory, what, meaning, mends });
  }
  return findings;
}

/** Compares the checkpoints with the logs. */
function checkOffsets(root: DataRoot, partitions: readonly FoundIn[]): Finding[] {
  const findings: Finding[] = [];
  // If only one partition was requested, the others are unknown.
  const isAll = root.only === undefined;
  const check = (name: string, recorded: ReadonlyMap<string, number>, fix: Fix): void => {
    const file = join(root.directory, name);
    const wrong: string[] = [];
    const entries = partitions.flatMap((found) => {
      const { topic, partition } = found;
      const key = partitionKey(topic, partition);
      const offset = recorded.get(key);
      const right = fix(found, offset, key);
      if (right !== offset && !(offset === undefined && right === 0)) {
        wrong.push(`${key} has ${offset ?? 'nothing'}, not ${right}`);
      }
      return right > 0 || !ONLY_ABOVE_0.has(name) ? [{ topic, partition, offset: right }] : [];
    });
    const known = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)));
    for (const key of recorded.keys()) {
      // A crash may leave entries of a half-deleted topic.
      if (!known.has(key) && root.isClean && isAll)
        wrong.push(`${key}, which it has, is not there`);
    }
    if (wrong.length === 0) return;
    const mends: Mend[] = [{ kind: 'write', file, content: encodeCheckpoint(entries) }];
    const meaning = `${MEANINGS[name] ?? ''} Rebuild it: ${REPAIR}`;
    const what = wrong.join('; ');
    findings.push({ severity: 'problem', file, what, meaning, mends: isAll ? mends : [] });
  };
  if (root.recoveryPoints.size > 0) {
    // After a crash the log may reach further than the checkpoint.
    check(RECOVERY_POINT_FILE, root.recoveryPoints, ({ nextOffset }, offset) =>
      root.isClean ? nextOffset : Math.min(offset ?? 0, nextOffset),
    );
  }
  if (root.highWatermarks.size > 0) {
    check(HIGH_WATERMARK_FILE, root.highWatermarks, ({ nextOffset }, offset) =>
      root.isClean ? nextOffset : Math.min(offset ?? 0, nextOffset),
    );
  }
  check(LOG_START_FILE, root.logStarts, ({ nextOffset, firstOffset }, offset) =>
    offset === undefined || offset <= nextOffset ? (offset ?? 0) : firstOffset,
  );
  check(CLEANED_FILE, root.cleanedOffsets, ({ nextOffset }, offset = 0) =>
    offset <= nextOffset ? offset : 0,
  );
  return findings;
}

/** Files that list a partition only if it has a value. */
const ONLY_ABOVE_0: ReadonlySet<string> = new Set([LOG_START_FILE, CLEANED_FILE]);

/** The checks of a checkpoint's entry for a partition. */
type Fix = (found: FoundIn, offset: number | undefined, key: string) => number;

const MEANINGS: Readonly<Record<string, string>> = {
  [RECOVERY_POINT_FILE]:
    'If an offset is too high, the log does not open; if too low, opening takes longer.',
  [HIGH_WATERMARK_FILE]: 'Only Kafka reads it.',
  [CLEANED_FILE]: 'Without an entry, or with an impossible one, compaction starts over.',
  [LOG_START_FILE]: 'The next opening would delete all records below, which still exist.',
};

function checkProducerIds(root: DataRoot, partitions: readonly FoundIn[]): Finding[] {
  const highest = Math.max(-1, ...partitions.map(({ highestProducerId }) => highestProducerId));
  const { nextProducerId, directory } = root;
  if (nextProducerId === undefined || nextProducerId > highest) return [];
  const file = join(directory, PRODUCER_IDS_FILE);
  const what = `it claims that ${nextProducerId} is free, but ${highest} is in use`;
  const meaning = `The next opening continues above all ids in use. Correct it: ${REPAIR}`;
  const content = Buffer.from(`${highest + 1}\n`);
  return [{ severity: 'problem', file, what, meaning, mends: [{ kind: 'write', file, content }] }];
}
