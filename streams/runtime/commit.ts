import type { CommittedOffset, Transaction } from '../../core/index.ts';
import type { Task } from './task.ts';

/**
 * The steps of a commit, of a checkpoint, and of a start with another topology than the last one;
 * `onStep` is called just before each.
 */
export type CommitStep =
  | 'commit-1-flush'
  | 'commit-2-changelog'
  | 'commit-3-produce'
  | 'commit-4-offsets'
  | 'commit-5-end'
  | 'commit-6-move'
  | 'checkpoint-1-offsets'
  | 'checkpoint-2-write'
  | 'checkpoint-3-done'
  | 'evolve-1-delete'
  | 'evolve-2-announce'
  | 'evolve-3-local'
  | 'evolve-3-copy'
  | 'evolve-3-times'
  | 'evolve-4-note'
  | 'evolve-5-delete'
  | 'evolve-5-note';

/** What a commit works on. */
export interface CommitContext {
  readonly groupId: string;
  readonly tasks: readonly Task[];
  /** Resolves when all writes are in the log. */
  readonly flush: () => Promise<void>;
  /** The open transaction; undefined with at-least-once. */
  readonly transaction: Transaction | undefined;
  /** Commits offsets outside of a transaction. */
  readonly commitOffsets: (offsets: readonly CommittedOffset[]) => Promise<void>;
  readonly onStep: (step: CommitStep) => void;
}

/**
 * Commits what the tasks have done since the last commit: outputs, changelogs and input offsets
 * together. Process nothing meanwhile. With at-least-once the steps are the same without the
 * transaction: after a crash before the offsets are written, the same records are processed again.
 *
 * Rejects if a step fails: the transaction is then aborted, and the tasks' state must be discarded
 * and restored, because it is ahead of the last commit.
 */
export async function commit(context: CommitContext): Promise<void> {
  const { groupId, tasks, flush, transaction, commitOffsets, onStep } = context;

  // 1. Forward what operators hold back. Up to step 5 a crash leaves an open transaction, which the
  //    next start aborts, as if nothing had been read since the last commit.
  onStep('commit-1-flush');
  for (const task of tasks) task.flush();

  // 2. One changelog record for each changed key.
  onStep('commit-2-changelog');
  for (const task of tasks) task.writeChangelog();

  // 3. Wait until everything is in the log, inside the transaction.
  onStep('commit-3-produce');
  await flush();

  // 4. The input offsets, with the times that decide lateness.
  onStep('commit-4-offsets');
  const offsets = tasks.flatMap((task) => task.offsets());
  if (transaction !== undefined) await transaction.sendOffsets(offsets, groupId);

  // 5. The commit point. A crash within it leaves all or nothing (the coordinator's PrepareCommit
  //    record); after it the state is restored from the changelog.
  onStep('commit-5-end');
  if (transaction !== undefined) await transaction.commit();
  else await commitOffsets(offsets);

  // 6. The uncommitted layer becomes the committed one.
  onStep('commit-6-move');
  for (const task of tasks) task.committed();
}
