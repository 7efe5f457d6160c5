/** A pending call made by `Clock.setTimer`. */
export interface Timer {
  /** Forgets the call if it has not been made yet. */
  cancel(): void;
}

/** Where time comes from. A parameter everywhere, so that a test or a simulation can own it. */
export interface Clock {
  /** Wall-clock milliseconds since 1970. It may jump, so nothing orders events by it. */
  nowMs(): number;
  /** Milliseconds since some start, never going back; for measuring how long something took. */
  monotonicMs(): number;
  /** Calls `callback` once, `delayMs` from now, and keeps the process alive until then. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** The same for housekeeping: does not keep the process alive. */
  setBackgroundTimer(delayMs: number, callback: () => void): Timer;
}

/** The clock of the machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
  setBackgroundTimer(delayMs, callback) {
    const handle = setTimeout(callback, delayMs).unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `delayMs` on `clock`, or when `signal` aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = clock.setTimer(delayMs, end);
    signal?.addEventListener('abort', end);
    if (signal?.aborted === true) end();
  });
}
