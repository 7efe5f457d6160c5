import { relative, resolve } from 'node:path';
import { newUuid } from '../broker/data-directory.ts';
import { systemClock, type Clock } from '../clock.ts';
import { callback, checkOptions, instance, type OptionChecks } from '../options.ts';
import { systemRandom, type Random } from '../random.ts';
import { redoAll } from '../log/load/redo-journal.ts';
import { settleSwaps } from '../log/compaction/swap.ts';
import { lockDirectory } from '../storage/directory-lock.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { nodeFileSystem } from '../storage/node-fs.ts';
import { readRoot } from './data-root.ts';
import { checkDirectory } from './directory-check.ts';
import type { Finding, Problem } from './finding.ts';
import { withJournal } from './journal-check.ts';
import { settledView, soundEnd } from './left-overs.ts';
import { gatherMends, mendFile, removeFiles, type FileMend } from './mending.ts';
import { setAside } from './set-aside.ts';
import { toProblem } from './verify.ts';

/** The plan of a repair. */
export interface RepairPlan {
  /** One line per file: its repair. */
  readonly steps: readonly string[];
  /** The problems that this repairs. */
  readonly problems: readonly Problem[];
  /** The problems that cannot be repaired. */
  readonly others: readonly Problem[];
}

/** The result of a repair. */
export interface Repair {
  readonly isDone: boolean;
  /** The directory with the removed bytes and a manifest; none if nothing was removed. */
  readonly keptIn: readonly string[];
  /** The remaining problems. */
  readonly problems: readonly Problem[];
}

export interface RepairOptions {
  /** Default: the machine's disk. */
  readonly fileSystem?: FileSystem;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: the machine's. */
  readonly random?: Random;
  /**
   * Called with the plan, if there is anything to do; the repair proceeds only if it returns true.
   */
  readonly confirm: (plan: RepairPlan) => boolean | Promise<boolean>;
}

const CHECKS: OptionChecks<RepairOptions> = {
  fileSystem: instance,
  clock: instance,
  random: instance,
  confirm: callback,
};

/** One repair may reveal another problem; a third round would mean a loop. */
const ROUNDS_MAX = 3;

/**
 * Repairs the problems that `verifyLog` finds, as far as possible: rebuilds indexes and
 * checkpoints, and replaces unreadable records by an empty batch. The records around them stay,
 * with their offsets, and no offset is assigned twice. (Kafka would truncate the log there and
 * fetch the rest from a replica.) All removed bytes are kept in `repair.<n>` beside the partitions.
 *
 * Durable when it resolves. After a crash in between, call it again.
 *
 * @throws LogError LOG_LOCKED while a process has the log open, DIRECTORY_UNUSABLE if there is
 *   none: nothing was changed. KAFKA_STORAGE_ERROR, DISK_FULL: some of it may be done.
 */
export async function repairLog(directory: string, options: RepairOptions): Promise<Repair> {
  checkOptions('repairLog', options, CHECKS);
  const { fileSystem = nodeFileSystem, clock = systemClock, random = systemRandom } = options;
  const asked = resolve(directory);
  const { directory: root } = await readRoot(fileSystem, asked);
  const release = await lockDirectory(fileSystem, root, newUuid(random));
  try {
    const keptIn: string[] = [];
    let isAgreed = false;
    let hasJournal = true;
    for (let round = 1; ;) {
      const findings = await findAll(fileSystem, asked, clock.nowMs());
      const mends = gatherMends(findings.flatMap((finding) => finding.mends));
      const left = { keptIn, problems: findings.map(toProblem) };
      if (mends.length === 0 || round > ROUNDS_MAX) return { isDone: mends.length === 0, ...left };
      // The caller approved the first plan; the problems that it reveals belong to it.
      isAgreed ||= await options.confirm(planOf(root, findings, mends));
      if (!isAgreed) return { isDone: false, ...left };
      const isRedone = hasJournal && (await finishJournal(fileSystem, asked));
      hasJournal = false;
      // The files have changed.
      if (isRedone || (await finishSwaps(fileSystem, asked))) continue;
      keptIn.push(await setAside(fileSystem, root, mends));
      for (const mend of mends) await mendFile(fileSystem, mend);
      round++;
    }
  } catch (cause) {
    throw storageFailure(root, 'write', cause);
  } finally {
    await release();
  }
}

/**
 * Restores the journal's bytes, as an opening does, if that is possible. Runs before any file is
 * mended, because the journal names file positions. Returns false if there is nothing to restore.
 */
async function finishJournal(fileSystem: FileSystem, asked: string): Promise<boolean> {
  const { directory, journal } = await readRoot(fileSystem, asked, true);
  const { files, redos, missing } = journal;
  await redoAll(fileSystem, redos);
  // Otherwise it is moved away, in case the user has a copy of the missing bytes.
  if (missing === undefined) await removeFiles(fileSystem, directory, files);
  return redos.length > 0;
}

/** Finishes the swaps of compactions, as an opening does; false if there are none. */
async function finishSwaps(fileSystem: FileSystem, asked: string): Promise<boolean> {
  const { partitions } = await readRoot(fileSystem, asked, true);
  let hasSwap = false;
  for (const { directory } of partitions) {
    const view = await settledView(fileSystem, directory);
    if (!view.hasSwap) continue;
    hasSwap = true;
    await settleSwaps({ fileSystem, directory }, soundEnd);
  }
  return hasSwap;
}

async function findAll(fileSystem: FileSystem, asked: string, nowMs: number): Promise<Finding[]> {
  const root = await readRoot(fileSystem, asked, true);
  const { partitions, findings } = await checkDirectory(root, {
    files: withJournal(fileSystem, root.journal.redos),
    nowMs,
  });
  return [...findings, ...partitions.flatMap((partition) => partition.findings)];
}

function planOf(
  root: string,
  findings: readonly Finding[],
  mends: readonly FileMend[],
): RepairPlan {
  const isMended = ({ mends: own }: Finding): boolean => own.length > 0;
  return {
    steps: mends.map((mend) => `${relative(root, mend.file)}: ${describe(mend)}`),
    problems: findings.filter(isMended).map(toProblem),
    others: findings.filter((finding) => !isMended(finding)).map(toProblem),
  };
}

function describe({ isRemoved, content, edits, intervalBytes }: FileMend): string {
  const steps: string[] = [];
  if (isRemoved) steps.push('move it away');
  if (content !== undefined) steps.push(`write it anew, ${content.length} bytes`);
  for (const { start, end, replacement } of edits) {
    const [lost, put] = [end - start, replacement.length];
    if (put === 0) steps.push(`cut ${lost} bytes at byte ${start}`);
    else if (lost === 0) steps.push(`insert an empty batch at byte ${start}`);
    else if (put === lost) steps.push(`put ${lost} bytes right at byte ${start}`);
    else steps.push(`put an empty batch in the place of ${lost} bytes at byte ${start}`);
  }
  if (intervalBytes !== undefined) steps.push('make its indexes again');
  return steps.join('; ');
}
