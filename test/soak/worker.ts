/**
 * Performs tasks one at a time, as `soak.ts` sends them. An error that nobody awaits ends the
 * process, and `soak.ts` counts that as a failure of the task.
 */
import { commandFor, perform, SCRIPT_COUNT, type Task } from './tasks.ts';

/** A message of a worker. */
export type Message =
  | { readonly event: 'ready'; readonly scripts: number }
  | { readonly event: 'killed' }
  | { readonly event: 'done'; readonly crashes: number; readonly cpuMs: number }
  | { readonly event: 'failed'; readonly reason: string; readonly command: string };

function tell(message: Message): void {
  process.send?.(message);
}

process.on('message', (task: Task) => {
  const before = process.cpuUsage();
  perform(task, () => tell({ event: 'killed' })).then(
    (crashes) => {
      const { user, system } = process.cpuUsage(before);
      tell({ event: 'done', crashes, cpuMs: (user + system) / 1000 });
    },
    (error: unknown) => {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      tell({ event: 'failed', reason, command: commandFor(task) });
    },
  );
});
// The parent is gone: end this process and the clients that it has started.
process.on('disconnect', () => process.kill(-process.pid, 'SIGKILL'));
tell({ event: 'ready', scripts: SCRIPT_COUNT });
