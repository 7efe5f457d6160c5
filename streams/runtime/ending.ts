/**
 * How an application ends, and whether anybody hears of it. The promise is handled by nobody but
 * those who ask for it: an application that fails unheard fails as an unhandled rejection.
 */
export class Ending {
  readonly #promise: Promise<void>;
  /** Set once somebody has asked for the promise, or was told what it rejected with. */
  #isHeard = false;

  /** `unheard` gets what `running` rejects with while nobody listens. */
  constructor(running: Promise<void>, unheard: (error: unknown) => void) {
    this.#promise = running.catch((error: unknown) => {
      if (!this.#isHeard) unheard(error);
      throw error;
    });
  }

  /** Settles when the application has ended; whoever asks hears what ended it. */
  hear(): Promise<void> {
    this.#isHeard = true;
    return this.#promise;
  }

  /** Resolves when the application has ended; rejects with what ended it if nobody else hears. */
  async wait(): Promise<void> {
    try {
      await this.#promise;
    } catch (error) {
      if (this.#isHeard) return;
      this.#isHeard = true;
      throw error;
    }
  }
}
