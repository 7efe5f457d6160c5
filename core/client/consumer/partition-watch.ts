import type { Clock } from '../../clock.ts';
import type { BrokerApi } from '../../protocol/broker-api.ts';

/** Checks now and then whether topics have more partitions than they had. */
export class PartitionWatch {
  readonly #api: BrokerApi;
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  /** Topic to its number of partitions when `note` was called. */
  #counts: ReadonlyMap<string, number> = new Map();
  #topics: readonly string[] = [];
  #lookedMs = 0;

  constructor(api: BrokerApi, clock: Clock, maxAgeMs: number) {
    this.#api = api;
    this.#clock = clock;
    this.#maxAgeMs = maxAgeMs;
  }

  /** Takes note of what was found just now; a topic without a count does not exist. */
  note(topics: readonly string[], counts: ReadonlyMap<string, number>): void {
    this.#topics = topics;
    this.#counts = counts;
    this.#lookedMs = this.#clock.monotonicMs();
  }

  /**
   * True when a topic has another number of partitions than noted, or did not exist then. Asks the
   * broker once in `maxAgeMs`; false in between. A topic that is gone is noticed by its readers.
   */
  async hasChanged(): Promise<boolean> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#topics.length === 0 || nowMs - this.#lookedMs < this.#maxAgeMs) return false;
    this.#lookedMs = nowMs;
    const counts = this.#counts;
    const { topics } = await this.#api.metadata({ topics: this.#topics });
    if (counts !== this.#counts) return false; // `note` was called meanwhile
    return topics.some(
      ({ topic, error, partitions }) => error === undefined && counts.get(topic) !== partitions,
    );
  }
}
