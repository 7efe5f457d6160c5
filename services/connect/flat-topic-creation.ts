import type { ConnectorDefinition, Properties } from '../../connect/index.ts';
import type { FlatReading } from './flat-reading.ts';
import { camelCase, dottedCase, looseValue, textOf } from './flat-values.ts';

const PREFIX = 'topic.creation.';
const PLACE = 'topicCreation';

type TopicCreation = NonNullable<ConnectorDefinition['topicCreation']>;
type Rule = NonNullable<TopicCreation['default']>;

/** True for what tells how topics are created. */
export function isTopicCreationKey(key: string): boolean {
  return key.startsWith(PREFIX);
}

/** Reads `topic.creation.groups`, `topic.creation.default.*` and those of the groups. */
export function readTopicCreation(
  given: Properties,
  { issues, keys }: FlatReading,
): Pick<ConnectorDefinition, 'topicCreation'> {
  const names = Object.keys(given).filter(isTopicCreationKey);
  const groups = listOf(given[`${PREFIX}groups`] ?? '');
  const rules = new Map<string, Record<string, unknown>>();
  for (const name of groups) rules.set(name, { include: [] });
  for (const key of names) {
    keys.set(PLACE, key);
    if (key === `${PREFIX}groups`) continue;
    const group = ['default', ...groups].find((each) => key.startsWith(`${PREFIX}${each}.`));
    if (group === undefined) {
      const problem = `there is no such group; there are ${['default', ...groups].join(', ')}`;
      issues.push({ key, problem });
      continue;
    }
    const rule = rules.get(group) ?? {};
    rules.set(group, rule);
    const setting = key.slice(PREFIX.length + group.length + 1);
    const problem = putSetting(rule, setting, given[key] ?? '', group);
    if (problem !== undefined) issues.push({ key, problem });
  }
  const rest = Object.fromEntries([...rules].filter(([name]) => name !== 'default'));
  const topicCreation = {
    ...(rules.has('default') && { default: rules.get('default') }),
    ...(Object.keys(rest).length > 0 && { groups: rest }),
  } as unknown as TopicCreation;
  return Object.keys(topicCreation).length === 0 ? {} : { topicCreation };
}

/** Puts a setting into the rule of a group; returns what is wrong with it. */
function putSetting(
  rule: Record<string, unknown>,
  setting: string,
  text: string,
  group: string,
): string | undefined {
  if (setting === 'replication.factor') return undefined; // a log has one copy
  if (setting === 'partitions') {
    const count = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(count)) return 'it must be an integer';
    if (count !== -1) rule['partitions'] = count; // -1 is the default
    return undefined;
  }
  if (setting === 'include' || setting === 'exclude') {
    if (group === 'default') return 'the group default is of all other topics';
    rule[setting] = listOf(text);
    return undefined;
  }
  rule['config'] = { ...(rule['config'] ?? {}), [camelCase(setting)]: looseValue(text) };
  return undefined;
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

/** How topics are created, as flat names. */
export function flatTopicCreation({ topicCreation }: ConnectorDefinition): Record<string, string> {
  const { default: rule, groups = {} } = topicCreation ?? {};
  const flat: Record<string, string> = {};
  if (rule !== undefined) putRule(flat, 'default', rule);
  if (Object.keys(groups).length > 0) flat[`${PREFIX}groups`] = Object.keys(groups).join();
  for (const [name, group] of Object.entries(groups)) {
    putRule(flat, name, group);
    flat[`${PREFIX}${name}.include`] = group.include.join();
    if (group.exclude !== undefined) flat[`${PREFIX}${name}.exclude`] = group.exclude.join();
  }
  return flat;
}

function putRule(flat: Record<string, string>, group: string, rule: Rule): void {
  const { partitions, config = {} } = rule;
  if (partitions !== undefined) flat[`${PREFIX}${group}.partitions`] = String(partitions);
  for (const [setting, value] of Object.entries(config)) {
    flat[`${PREFIX}${group}.${dottedCase(setting)}`] = textOf(value);
  }
}
