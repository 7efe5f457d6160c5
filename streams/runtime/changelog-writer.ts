import type { TaskStore } from '../state/store-kind.ts';
import type { TaskState } from '../state/task-state.ts';
import type { Failures } from './failures.ts';
import type { TaskMeters } from './meters.ts';
import type { Outputs } from './outputs.ts';

/** What writing the changes of a task's stores uses of the task. */
export interface ChangelogContext {
  readonly state: TaskState;
  readonly partition: number;
  readonly outputs: Outputs;
  readonly meters: TaskMeters;
  readonly failures: Failures;
}

/**
 * Appends one changelog record for each key changed since the last commit.
 *
 * @throws StreamsError STARTING_OVER if a key or a value cannot be written, so that the record is
 *   found that it is of; the error itself if that has not helped.
 */
export function writeChangelogs(context: ChangelogContext): void {
  for (const [name, store] of context.state.stores) {
    try {
      const count = writeChanges(name, store, context);
      context.state.tailCount += count;
      context.meters.changed(name, count);
    } catch (cause) {
      throw context.failures.unwritable(name, cause);
    }
  }
}

function writeChanges(
  name: string,
  store: TaskStore,
  { state, partition, outputs }: ChangelogContext,
): number {
  const committed = state.committed.find(name);
  // Without a changelog they are in their topic already.
  if (store.spec.backing !== 'changelog') {
    return store.takeChanged((entry) => committed?.stage(entry));
  }
  const writer = outputs.changelog(name);
  return store.takeChanged((entry) => {
    committed?.stage(entry);
    const value = entry.value === undefined ? null : entry;
    writer.write(entry, value, entry.timestampMs, undefined, partition);
  });
}
