import { LogError } from '../../errors.ts';

/** Sees to it that one reader reads at a time. */
export class SoleReader {
  /** What reads now. */
  #current: string | undefined;

  /** @throws LogError CONCURRENT_POLL: nothing was begun. */
  begin(operation: string): void {
    if (this.#current !== undefined) {
      const message =
        `${operation} while the consumer's ${this.#current} is under way: wait for it, or give ` +
        'each reader a consumer of its own';
      throw new LogError('CONCURRENT_POLL', message, { operation });
    }
    this.#current = operation;
  }

  end(): void {
    this.#current = undefined;
  }

  /** Runs `read` between `begin` and `end`. */
  async run<T>(operation: string, read: () => Promise<T>): Promise<T> {
    this.begin(operation);
    try {
      return await read();
    } finally {
      this.end();
    }
  }
}
