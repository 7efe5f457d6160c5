import { Interruption } from '../../core/internal.ts';

/** Lets a run wait, with everything open, until it is told to go on. */
export class PauseSwitch {
  readonly #interruption = new Interruption();
  #isOn = false;

  get isOn(): boolean {
    return this.#isOn;
  }

  set(isOn: boolean): void {
    this.#isOn = isOn;
    this.wake();
  }

  /** Lets whoever waits look again. */
  wake(): void {
    this.#interruption.interrupt();
  }

  /** Resolves when it is off, or the signal has aborted and `wake` was called. */
  async passed(signal: AbortSignal): Promise<void> {
    while (this.#isOn && !signal.aborted) await this.#interruption.wait();
  }
}
