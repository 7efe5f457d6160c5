import { resolve } from 'node:path';
import { systemClock, type Clock } from '../clock.ts';
import { checkOptions, callback, instance, type OptionChecks } from '../options.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { nodeFileSystem } from '../storage/node-fs.ts';
import { withJournal } from './journal-check.ts';
import { readRoot } from './data-root.ts';
import { checkDirectory, type FoundIn } from './directory-check.ts';
import type { Finding, Problem } from './finding.ts';

/** The content of one partition, and its faults. */
export interface VerifiedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly segments: number;
  readonly batches: number;
  /** Markers of transactions count too. */
  readonly records: number;
  /** Bytes of the segments' batches, without indexes. */
  readonly bytes: number;
  /** The base offset of the first segment. */
  readonly firstOffset: number;
  /** The offset after the last record. */
  readonly nextOffset: number;
  readonly problems: readonly Problem[];
}

/** The result of `verifyLog`. */
export interface Verification {
  readonly partitions: readonly VerifiedPartition[];
  /** The findings in the files at the root; each partition has its own. */
  readonly problems: readonly Problem[];
  /** The number of all problems, without notes. */
  readonly problemCount: number;
  /** The process that had the log open meanwhile; its unfinished writes were left out. */
  readonly ownerPid?: number;
}

export interface VerifyOptions {
  /** Default: the machine's disk. */
  readonly fileSystem?: FileSystem;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Called with each partition after it was read. Default: none. */
  readonly onPartition?: (partition: VerifiedPartition) => void;
}

const CHECKS: OptionChecks<VerifyOptions> = {
  fileSystem: instance,
  clock: instance,
  onPartition: callback,
};

/**
 * Reads a whole data directory, or one partition's directory, and reports its faults: checks every
 * batch and record, producer sequence and transaction, index, snapshot and checkpoint. Changes
 * nothing and takes no lock; while another process writes, skips incomplete bytes at the end. Needs
 * memory for a chunk of a segment and its indexes.
 *
 * @throws LogError DIRECTORY_UNUSABLE if there is no log, KAFKA_STORAGE_ERROR if a file cannot be
 *   read, UNKNOWN_OPTION
 */
export async function verifyLog(
  directory: string,
  options: VerifyOptions = {},
): Promise<Verification> {
  checkOptions('verifyLog', options, CHECKS);
  const { fileSystem = nodeFileSystem, clock = systemClock, onPartition } = options;
  const root = await readRoot(fileSystem, resolve(directory));
  const { partitions, findings } = await checkDirectory(root, {
    files: withJournal(fileSystem, root.journal.redos),
    nowMs: clock.nowMs(),
    onPartition: (found) => onPartition?.(toVerified(found)),
  });
  const verified = partitions.map(toVerified);
  const all = [...findings, ...partitions.flatMap((found) => found.findings)];
  return {
    partitions: verified,
    problems: findings.map(toProblem),
    problemCount: all.filter(({ severity }) => severity === 'problem').length,
    ...(root.ownerPid !== undefined && { ownerPid: root.ownerPid }),
  };
}

function toVerified({ topic, partition, counts, ...found }: FoundIn): VerifiedPartition {
  const { firstOffset, nextOffset } = found;
  const problems = found.findings.map(toProblem);
  return { topic, partition, ...counts, firstOffset, nextOffset, problems };
}

/** The public part of a finding. */
export function toProblem(finding: Finding): Problem {
  const { severity, file, positionBytes, offset, what, meaning } = finding;
  return {
    severity,
    file,
    ...(positionBytes !== undefined && { positionBytes }),
    ...(offset !== undefined && { offset }),
    what,
    meaning,
  };
}
