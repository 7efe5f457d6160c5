import type { Clock } from '../../core/index.ts';
import { checkOptions, flag, type OptionChecks } from '../../core/internal.ts';

/** How to close an application. */
export interface CloseOptions {
  /**
   * How long it may take, in milliseconds. Default: `Infinity`, as long as it takes. Only what is
   * not JavaScript's own work can be interrupted: a function that does not return is waited for.
   */
  readonly timeoutMs?: number;
  /** Removes the local state afterwards, as `cleanUp` does. Default: false. */
  readonly removeState?: boolean;
}

/**
 * How an application was closed; in no case is anything lost.
 *
 * - `clean`: what was processed is committed, and the state is in a checkpoint.
 * - `aborted`: the deadline, or an error before, has aborted what was not committed. The next start
 *   reads that again.
 * - `unfinished`: the same, but something does not answer, such as a full disk, and still has the
 *   log and the state. End the process; the next start aborts what is left.
 */
export type CloseResult = 'clean' | 'aborted' | 'unfinished';

/** The longest delay of a timer. */
const TIMER_MS_MAX = 2 ** 31 - 1;

const CHECKS: OptionChecks<CloseOptions> = {
  timeoutMs: (value) => {
    const isOne = typeof value === 'number' && value >= 0 && value <= TIMER_MS_MAX;
    return isOne || value === Infinity
      ? undefined
      : `a number of milliseconds up to ${TIMER_MS_MAX}, or Infinity`;
  },
  removeState: flag,
};

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function closeSettings(options: CloseOptions): Required<CloseOptions> {
  checkOptions('close', options, CHECKS);
  const { timeoutMs = Infinity, removeState = false } = options;
  return { timeoutMs, removeState };
}

/** True if `ended` resolves within the time; rejects if it rejects within the time. */
export function endsWithin(
  ended: Promise<void>,
  timeoutMs: number,
  clock: Clock,
): Promise<boolean> {
  if (timeoutMs === Infinity) return ended.then(() => true);
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(timeoutMs, () => resolve(false));
    ended.finally(() => timer.cancel()).then(() => resolve(true), reject);
  });
}
