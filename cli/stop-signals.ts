import { systemClock } from '../core/index.ts';

/** The exit codes that shells report after a signal: 128 plus its number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type StopSignal = keyof typeof EXIT_CODES;

/**
 * One Ctrl-C may arrive twice: from the terminal, and again from npx or tsx. Within this time the
 * same signal does not count as a second one.
 */
const SAME_SIGNAL_MS = 250;

/** Listens for Ctrl-C and SIGTERM: the first one asks to stop, the second one ends the process. */
export class StopSignals {
  readonly #stop = new AbortController();
  readonly #onFirst: (key: string) => void;
  #exitCode = 0;
  #lastMs = -Infinity;

  readonly #listener = (signal: StopSignal): void => {
    const nowMs = systemClock.monotonicMs();
    if (this.#exitCode === EXIT_CODES[signal] && nowMs - this.#lastMs < SAME_SIGNAL_MS) return;
    [this.#exitCode, this.#lastMs] = [EXIT_CODES[signal], nowMs];
    if (this.#stop.signal.aborted) process.exit(this.#exitCode); // asked twice: exit now
    this.#onFirst(signal === 'SIGINT' ? 'Ctrl-C' : signal);
    this.#stop.abort();
  };

  /** @param onFirst gets what the user pressed, or the name of the signal. */
  constructor(onFirst: (key: string) => void = () => undefined) {
    this.#onFirst = onFirst;
    for (const signal of SIGNALS) process.on(signal, this.#listener);
  }

  /** Aborts when the command is to stop. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Of a process that was asked to stop; 0 before. */
  get exitCode(): number {
    return this.#exitCode;
  }

  /** Listens no more. */
  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.#listener);
  }
}

const SIGNALS = Object.keys(EXIT_CODES) as StopSignal[];
