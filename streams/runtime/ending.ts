/**
 * How an application ends, and whether a caller learns of it. Nothing here handles the promise, so
 * a failure that no caller asks for becomes an unhandled rejection.
 */
export class Ending {
  readonly #promise: Promise<void>;
  /** Set once a caller got the promise or its rejection. */
  #isHeard = false;

  /** `reportUnheard` receives the rejection of `running` if no caller has asked for the promise. */
  constructor(running: Promise<void>, reportUnheard: (error: unknown) => void) {
    this.#promise = running.catch((error: unknown) => {
      if (!this.#isHeard) reportUnheard(error);
      throw error;
    });
  }

  /** Settles when the application has ended; marks its error as reported to the caller. */
  hear(): Promise<void> {
    this.#isHeard = true;
    return this.#promise;
  }

  /** Resolves when the application has ended; rejects if its error is unreported. */
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
