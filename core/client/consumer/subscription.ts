import type { BrokerApi, TopicPartition } from '../../protocol/broker-api.ts';
import type { Clock } from '../../clock.ts';
import { allPartitions } from '../group/assignors.ts';
import { checkHandles } from '../arguments.ts';
import { PartitionWatch } from './partition-watch.ts';
import { countPartitions, ensureTopic } from '../topic-metadata.ts';
import type { AnyTopic, TopicPattern } from '../topic.ts';

/** The topics that a consumer reads: the named ones, or those that match its pattern now. */
export class Subscription {
  readonly #api: BrokerApi;
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  /** Of a reader of all partitions: what it found. */
  readonly #watch: PartitionWatch;
  readonly #handles = new Map<string, AnyTopic>();
  #pattern: TopicPattern<unknown, unknown> | undefined;
  /** When the matching topics were last looked up. */
  #lookedMs = -Infinity;

  constructor(api: BrokerApi, clock: Clock, maxAgeMs: number) {
    this.#api = api;
    this.#clock = clock;
    this.#maxAgeMs = maxAgeMs;
    this.#watch = new PartitionWatch(api, clock, maxAgeMs);
  }

  get names(): string[] {
    return [...this.#handles.keys()];
  }

  get isPattern(): boolean {
    return this.#pattern !== undefined;
  }

  has(topic: string): boolean {
    return this.#handles.has(topic);
  }

  handle(topic: string): AnyTopic | undefined {
    return this.#handles.get(topic);
  }

  /**
   * Takes these topics, or those that match, instead of what was before.
   *
   * @throws LogError INVALID_OPTION: what was before stays.
   */
  replace(topics: readonly AnyTopic[] | TopicPattern<unknown, unknown>): void {
    const pattern = isPattern(topics) ? topics : undefined;
    const named = isPattern(topics) ? [] : topics;
    checkHandles('subscribe', named);
    this.#pattern = pattern;
    this.#lookedMs = -Infinity;
    this.#handles.clear();
    for (const topic of named) this.#handles.set(topic.name, topic);
  }

  /**
   * Looks up which topics match, if the last lookup is `metadataMaxAgeMs` ago or `isDue`. Returns
   * true if they have changed.
   */
  async look(isDue: boolean): Promise<boolean> {
    const pattern = this.#pattern;
    const nowMs = this.#clock.monotonicMs();
    if (pattern === undefined) return false;
    if (!isDue && nowMs - this.#lookedMs < this.#maxAgeMs) return false;
    this.#lookedMs = nowMs;
    const { topics } = await this.#api.metadata({});
    if (pattern !== this.#pattern) return false; // another subscription came meanwhile
    const matching = new Set(
      topics
        .filter(({ topic, isInternal }) => !isInternal && pattern.pattern.test(topic))
        .map(({ topic }) => topic),
    );
    const gone = this.names.filter((name) => !matching.has(name));
    const come = [...matching].filter((name) => !this.has(name)).sort();
    const { key, value } = pattern;
    for (const name of gone) this.#handles.delete(name);
    for (const name of come) {
      this.#handles.set(name, { name, key, value, partitions: undefined, config: {} });
    }
    return gone.length + come.length > 0;
  }

  /** Creates named topics that do not exist; returns the names of all. */
  async ensure(): Promise<readonly string[]> {
    if (!this.isPattern) {
      for (const topic of this.#handles.values()) await ensureTopic(this.#api, topic);
    }
    return this.names;
  }

  /** How many partitions each has; a named topic that does not exist is created. */
  count(topics: readonly string[]): Promise<Map<string, number>> {
    return countPartitions(this.#api, topics, this.isPattern ? NO_HANDLES : this.#handles);
  }

  /** All partitions that exist; from now on `hasChanged` compares with them. */
  async partitions(): Promise<TopicPartition[]> {
    const { names } = this;
    const counts = await this.count(names);
    this.#watch.note(names, counts);
    return allPartitions(counts);
  }

  /** True when topics have other partitions by now. */
  hasChanged(): Promise<boolean> {
    return this.#watch.hasChanged();
  }
}

function isPattern(topics: unknown): topics is TopicPattern<unknown, unknown> {
  return (topics as Partial<TopicPattern<unknown, unknown>> | null)?.pattern instanceof RegExp;
}

/** For a pattern: a topic that was deleted must not be created again. */
const NO_HANDLES: ReadonlyMap<string, AnyTopic> = new Map();
