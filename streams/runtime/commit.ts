import type { CommittedOffset, Transaction } from '../../core/index.ts';
import type { Task } from './task.ts';

/**
 * The steps of a commit and of a checkpoint, as `onStep` hears of them: each just before it is
 * taken.
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
  | 'checkpoint-3-done';

/** What a commit works on. */
export interface CommitContext {
  readonly groupId: string;
  readonly tasks: readonly Task[];
  /** Resolves when everything that was written is in the log. */
  readonly flush: () => Promise<void>;
  /** The open transaction; undefined with at-least-once. */
  readonly transaction: Transaction | undefined;
  /** Commits offsets outside of a transaction. */
  readonly commitOffsets: (offsets: readonly CommittedOffset[]) => Promise<void>;
  readonly onStep: (step: CommitStep) => void;
}

/**
 * Commits what the tasks have done since the last commit: outputs, changelogs and input offsets
 * together. Nothing may be processed meanwhile. With at-least-once the steps are the same, without
 * the transaction: a crash before the offsets are in processes the same records again.
 *
 * Rejects with what went wrong: then the transaction is aborted, and the tasks' state has to be
 * thrown away and read back, for it is ahead of the last commit.
 */
export async function commit(context: CommitContext): Promise<void> {
  const { groupId, tasks, flush, transaction, commitOffsets, onStep } = context;

  // 1. Pass on what operators hold back. A crash here leaves an open transaction, which the next
  //    start aborts: as if nothing had been read since the last commit. So it is up to step 5.
  onStep('commit-1-flush');
  for (const task of tasks) task.flush();

  // 2. One changelog record for each key that has changed.
  onStep('commit-2-changelog');
  for (const task of tasks) task.writeChangelog();

  // 3. Everything is in the log, inside the transaction.
  onStep('commit-3-produce');
  await flush();

  // 4. The input offsets, with what decides lateness.
  onStep('commit-4-offsets');
  const offsets = tasks.flatMap((task) => task.offsets());
  if (transaction !== undefined) await transaction.sendOffsets(offsets, groupId);

  // 5. The commit point. A crash within it leaves all or nothing (the coordinator's PrepareCommit
  //    record); a crash after it has committed: the state is read back from the changelog.
  onStep('commit-5-end');
  if (transaction !== undefined) await transaction.commit();
  else await commitOffsets(offsets);

  // 6. The uncommitted layer has become the committed one.
  onStep('commit-6-move');
  for (const task of tasks) task.committed();
}
