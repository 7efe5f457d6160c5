/** How a source creates topics that are missing: Kafka Connect's `topic.creation` (KIP-158). */
import {
  bytes,
  LogError,
  topic as topicHandle,
  type Admin,
  type AnyTopic,
} from '../../core/index.ts';
import type { LogConfig } from '../../core/index.ts';
import {
  checkArgument,
  checkOptions,
  instance,
  integer,
  listOf,
  type OptionChecks,
} from '../../core/internal.ts';

/** What topics are created with. */
export interface TopicCreationRule {
  /** Default: for a group, that of `default`; else 1. */
  readonly partitions?: number;
  /** Settings such as `retentionMs`. Default: each as in `LogConfig`; a group inherits none. */
  readonly config?: Partial<LogConfig>;
}

/** What some topics are created with. */
export interface TopicCreationGroup extends TopicCreationRule {
  /** Regular expressions; the group is of the topics whose whole name one of them matches. */
  readonly include: readonly string[];
  /** It is not of those whose whole name one of these matches. Default: none. */
  readonly exclude?: readonly string[];
}

/** What the topics that a source creates are created with. Topics that exist stay as they are. */
export interface TopicCreationOptions {
  /** Of topics of no group. Default: 1 partition and the settings of `LogConfig`. */
  readonly default?: TopicCreationRule;
  /** By name; a topic is of the first one that matches. Default: none. */
  readonly groups?: Readonly<Record<string, TopicCreationGroup>>;
}

const OPTIONS: OptionChecks<TopicCreationOptions> = { default: instance, groups: instance };
const RULE: OptionChecks<TopicCreationRule> = {
  partitions: integer(1, 10_000),
  config: instance,
};
const GROUP: OptionChecks<TopicCreationGroup> = {
  ...RULE,
  include: expressions,
  exclude: expressions,
};

function expressions(value: unknown): string | undefined {
  const fault = listOf('regular expressions')(value);
  if (fault !== undefined) return fault;
  const isRight = (value as readonly unknown[]).every((each) => {
    return typeof each === 'string' && wholeName(each) !== undefined;
  });
  return isRight ? undefined : 'a list of regular expressions';
}

/** Undefined if it is no regular expression. */
function wholeName(pattern: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${pattern})$`);
  } catch {
    return undefined; // as the message says
  }
}

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION, INVALID_CONFIG */
export function checkTopicCreation(what: string, options: TopicCreationOptions | undefined): void {
  if (options === undefined) return;
  checkArgument(what, 'topicCreation', options, instance);
  checkOptions(`${what}: topicCreation`, options, OPTIONS);
  const { default: fallback, groups = {} } = options;
  if (fallback !== undefined) checkRule(`${what}: topicCreation.default`, fallback, RULE, []);
  for (const [name, group] of Object.entries(groups)) {
    const option = `${what}: topicCreation.groups.${name}`;
    checkArgument(what, `topicCreation.groups.${name}`, group, instance);
    // Objects have such names in front, whatever their order was.
    if (name === 'default' || /^\d+$/.test(name)) {
      const allowed = 'a name that is no number, nor default';
      const message = `${option}: a group must have ${allowed}`;
      throw new LogError('INVALID_OPTION', message, { option: 'groups', value: name, allowed });
    }
    checkRule(option, group, GROUP, ['include']);
  }
}

function checkRule<Rule extends TopicCreationRule>(
  what: string,
  rule: Rule,
  checks: OptionChecks<Rule>,
  required: readonly (keyof Rule & string)[],
): void {
  checkOptions(what, rule, checks, required);
  // A handle checks the settings.
  topicHandle('any', { key: bytes(), value: bytes(), config: rule.config ?? {} });
}

interface Group {
  readonly includes: (name: string) => boolean;
  readonly rule: TopicCreationRule;
}

/** Creates the missing topics of one source. */
export class TopicCreation {
  readonly #default: TopicCreationRule;
  readonly #groups: readonly Group[];
  readonly #admin: Admin;

  /** @param options that `checkTopicCreation` has accepted. */
  constructor({ default: fallback = {}, groups = {} }: TopicCreationOptions, admin: Admin) {
    this.#default = fallback;
    this.#admin = admin;
    this.#groups = Object.values(groups).map(({ include, exclude = [], ...rule }) => ({
      includes: (name) => matches(include, name) && !matches(exclude, name),
      rule: { ...partitionsOf(fallback), ...rule },
    }));
  }

  /**
   * Creates the topic of a handle, if it is missing: what the handle itself says of partitions and
   * settings comes first.
   *
   * @throws LogError INVALID_TOPIC, INVALID_CONFIG, INVALID_PARTITIONS
   */
  async ensure({ name, partitions, config }: AnyTopic): Promise<void> {
    const { rule } = this.#groups.find(({ includes }) => includes(name)) ?? { rule: this.#default };
    const all = { ...rule.config, ...config };
    try {
      await this.#admin.createTopic(name, {
        config: all,
        ...partitionsOf(rule),
        ...(partitions !== undefined && { partitions }),
      });
    } catch (cause) {
      if (!LogError.is(cause, 'TOPIC_ALREADY_EXISTS')) throw cause;
    }
  }
}

function partitionsOf({ partitions }: TopicCreationRule): TopicCreationRule {
  return partitions === undefined ? {} : { partitions };
}

function matches(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => wholeName(pattern)?.test(name) === true);
}
