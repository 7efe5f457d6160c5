import type { Clock } from '../../clock.ts';
import type { BrokerApi } from '../../protocol/broker-api.ts';

/** Looks now and then whether topics have got partitions, once it knows what they had. */
export class PartitionWatch {
  readonly #api: BrokerApi;
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  /** Topic to how many partitions it had when that was noted. */
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
   * True when a topic has other partitions than was noted, or exists now. Asks the broker once in
   * `maxAgeMs`, and says false in between. A topic that is gone is for those who read it to notice.
   */
  async hasChanged(): Promise<boolean> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#topics.length === 0 || nowMs - this.#lookedMs < this.#maxAgeMs) return false;
    this.#lookedMs = nowMs;
    const counts = this.#counts;
    const { topics } = await this.#api.metadata({ topics: this.#topics });
    if (counts !== this.#counts) return false; // noted anew meanwhile
    return topics.some(
      ({ topic, error, partitions }) => error === undefined && counts.get(topic) !== partitions,
    );
  }
}
