import {
  checkArgument,
  checkOptions,
  instance,
  integer,
  type OptionCheck,
} from '../../core/internal.ts';

/**
 * Which records of two streams meet: a right one is at most `beforeMs` older and at most `afterMs`
 * newer than the left one, both included (Kafka: `JoinWindows`). The right one sees it the other
 * way round.
 */
export interface JoinWindow {
  readonly beforeMs: number;
  readonly afterMs: number;
  /** How long after its window's end a record still waits for one that is out of order. */
  readonly graceMs: number;
}

/** Either the same in both directions, or one time for each. */
export type JoinWindowOptions =
  | { readonly differenceMs: number; readonly graceMs?: number }
  | { readonly beforeMs: number; readonly afterMs: number; readonly graceMs?: number };

const TIME_MS = integer(0);
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
  const { graceMs = 0 } = options;
  if ('differenceMs' in options) {
    const checks = { differenceMs: TIME_MS, graceMs: TIME_MS };
    checkOptions('joinWindow', options, checks, ['differenceMs']);
    return { beforeMs: options.differenceMs, afterMs: options.differenceMs, graceMs };
  }
  const checks = { beforeMs: BOUND_MS, afterMs: fits(options), graceMs: TIME_MS };
  checkOptions('joinWindow', options, checks, ['beforeMs', 'afterMs']);
  const { beforeMs, afterMs } = options;
  return { beforeMs, afterMs, graceMs };
}

/** @throws LogError INVALID_OPTION unless `joinWindow` made it. */
export function checkJoinWindow(method: string, window: unknown): void {
  checkArgument(method, 'window', window, (value) => {
    const { beforeMs, afterMs, graceMs } = (value ?? {}) as Partial<JoinWindow>;
    const isWindow =
      BOUND_MS(beforeMs) === undefined &&
      fits({ beforeMs })(afterMs) === undefined &&
      TIME_MS(graceMs) === undefined;
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
