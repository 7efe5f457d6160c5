import {
  checkArgument,
  checkOptions,
  instance,
  integer,
  type OptionCheck,
} from '../../core/internal.ts';
import { closing, type IdleClosing } from './windows.ts';

/**
 * Which records of two streams meet: a right one is at most `beforeMs` older and at most `afterMs`
 * newer than the left one, both included (Kafka: `JoinWindows`). The right one sees it the other
 * way round.
 */
export interface JoinWindow extends IdleClosing {
  readonly beforeMs: number;
  readonly afterMs: number;
  /** How long after its window's end a record still waits for one that is out of order. */
  readonly graceMs: number;
}

/** Either the same in both directions, or one time for each. */
export type JoinWindowOptions = IdleClosing &
  (
    | { readonly differenceMs: number; readonly graceMs?: number }
    | { readonly beforeMs: number; readonly afterMs: number; readonly graceMs?: number }
  );

const TIME_MS = integer(0);
const IDLE_MS = integer(1);
const CLOSING = { graceMs: TIME_MS, closeAfterIdleMs: IDLE_MS };
/** A negative bound moves the window: with `beforeMs: -5` the right record is at least 5 newer. */
const BOUND_MS = integer(-Number.MAX_SAFE_INTEGER);

/**
 * The window of a join of two streams.
 *
 * @example
 * joinWindow({ differenceMs: minutes(5), graceMs: seconds(30) });
 * joinWindow({ beforeMs: 0, afterMs: hours(1) }); // the right record comes within an hour
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION unless the times are whole milliseconds,
 *   `differenceMs` and `graceMs` at least 0, and `beforeMs + afterMs` at least 0.
 */
export function joinWindow(options: JoinWindowOptions): JoinWindow {
  checkArgument('joinWindow', 'options', options, instance);
  if ('differenceMs' in options) {
    const checks = { differenceMs: TIME_MS, ...CLOSING };
    checkOptions('joinWindow', options, checks, ['differenceMs']);
    const { differenceMs } = options;
    return { beforeMs: differenceMs, afterMs: differenceMs, ...closing(options) };
  }
  const checks = { beforeMs: BOUND_MS, afterMs: fits(options), ...CLOSING };
  checkOptions('joinWindow', options, checks, ['beforeMs', 'afterMs']);
  const { beforeMs, afterMs } = options;
  return { beforeMs, afterMs, ...closing(options) };
}

/** @throws LogError INVALID_OPTION unless `joinWindow` made it. */
export function checkJoinWindow(method: string, window: unknown): void {
  checkArgument(method, 'window', window, (value) => {
    const window = (value ?? {}) as Partial<JoinWindow>;
    const { beforeMs, afterMs, graceMs, closeAfterIdleMs = 1 } = window;
    const isWindow =
      BOUND_MS(beforeMs) === undefined &&
      fits({ beforeMs })(afterMs) === undefined &&
      TIME_MS(graceMs) === undefined &&
      IDLE_MS(closeAfterIdleMs) === undefined;
    return isWindow ? undefined : 'a window, as joinWindow() makes it';
  });
}

function fits({ beforeMs }: { readonly beforeMs?: unknown }): OptionCheck {
  return typeof beforeMs === 'number' ? integer(-beforeMs) : BOUND_MS;
}

/** How long a record can still be joined after its time, with the grace. */
export function joinLifeMs({ beforeMs, afterMs, graceMs }: JoinWindow): number {
  return Math.max(beforeMs, 0) + Math.max(afterMs, 0) + graceMs + 1; // both bounds are included
}
