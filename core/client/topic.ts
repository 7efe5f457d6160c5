import { checkArgument, checkOptions, integer, plain, type OptionChecks } from '../options.ts';
import type { LogConfig } from '../log/log-config.ts';
import { checkTopicName, toLogConfig, toTopicConfig } from '../protocol/topic-config.ts';
import type { Serde } from '../serde/serde.ts';
import { serdeLike } from './arguments.ts';

/** How a topic is to be, and how its keys and values become bytes. */
export interface TopicOptions<K, V> {
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /**
   * How many partitions it is created with, and has. Default: as many as it has, or 1 when it is
   * made.
   */
  readonly partitions?: number;
  /** Settings of the topic where it is created. Default: each as in `LogConfig`. */
  readonly config?: Partial<LogConfig>;
}

/**
 * A topic as a program names it: name, types, serdes. Producers, consumers, topologies and
 * connectors take handles, so a wrong type does not compile. Making one touches nothing; the topic
 * itself is created when it is first used.
 */
export interface Topic<K, V> {
  readonly name: string;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
  /** Undefined where any number will do. */
  readonly partitions: number | undefined;
  readonly config: Partial<LogConfig>;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- types are inferred from it
export type AnyTopic = Topic<any, any>;

/** All topics whose names match, now or later, and how the keys and values of all are read. */
export interface TopicPattern<K, V> {
  readonly pattern: RegExp;
  readonly key: Serde<K>;
  readonly value: Serde<V>;
}

const CHECKS: OptionChecks<TopicOptions<unknown, unknown>> = {
  key: serdeLike,
  value: serdeLike,
  partitions: integer(1, 10_000),
  config: plain,
};

/**
 * Names a topic.
 *
 * @example
 * const orders = topic('orders', { key: string(), value: json<Order>(), partitions: 4 });
 * @throws LogError INVALID_TOPIC for a name that is none, UNKNOWN_OPTION, INVALID_OPTION,
 *   INVALID_CONFIG
 */
export function topic<K, V>(name: string, options: TopicOptions<K, V>): Topic<K, V> {
  checkTopicName(name);
  checkOptions(`topic ${name}`, options, CHECKS, ['key', 'value']);
  const { key, value, partitions, config = {} } = options;
  toLogConfig(toTopicConfig(config));
  return { name, key, value, partitions, config };
}

/**
 * Names all topics whose names match, for `consumer.subscribe`. The pattern is looked for anywhere
 * in the name: `^` and `$` bind it. Internal topics never match.
 *
 * @example
 * const flights = topicPattern(/^flights-/, { key: string(), value: json<Flight>() });
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function topicPattern<K, V>(
  pattern: RegExp,
  options: Pick<TopicOptions<K, V>, 'key' | 'value'>,
): TopicPattern<K, V> {
  checkArgument('topicPattern', 'pattern', pattern, (given) =>
    given instanceof RegExp ? undefined : 'a regular expression',
  );
  const { key, value } = CHECKS;
  checkOptions(`topicPattern ${String(pattern)}`, options, { key, value }, ['key', 'value']);
  // With the flags g or y it would remember where it stopped, and look there the next time.
  const flags = pattern.flags.replace(/[gy]/g, '');
  return { pattern: new RegExp(pattern.source, flags), key: options.key, value: options.value };
}
