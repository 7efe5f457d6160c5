import type { ConnectPlugin, Properties, TransformDefinition } from '../../connect/index.ts';
import { PluginConfig, type FlatReading } from './flat-reading.ts';
import { dottedCase, textOf } from './flat-values.ts';

type Predicate = NonNullable<TransformDefinition['predicate']>;

/** Which keys belong to one alias, without its prefix. */
function keysBelow(given: Properties, prefix: string): [key: string, name: string][] {
  return Object.keys(given)
    .filter((key) => key.startsWith(prefix))
    .map((key) => [key, key.slice(prefix.length)]);
}

/** Reads `transforms`, `transforms.<alias>.*` and `predicates.*`. */
export function readTransforms(
  given: Properties,
  reading: FlatReading,
): { readonly transforms?: readonly TransformDefinition[] } {
  const transforms: TransformDefinition[] = [];
  const aliases = aliasesIn(given, 'transforms', reading);
  const predicates = aliasesIn(given, 'predicates', reading);
  for (const alias of aliases) {
    const transform = readTransform(alias, `transforms.${transforms.length}`, given, {
      ...{ reading, predicates },
    });
    if (transform !== undefined) transforms.push(transform);
  }
  return transforms.length === 0 ? {} : { transforms };
}

/** The aliases of a list; what belongs to none of them is a mistake. */
function aliasesIn(
  given: Properties,
  list: 'transforms' | 'predicates',
  { issues }: FlatReading,
): string[] {
  const all = (given[list] ?? '')
    .split(',')
    .map((alias) => alias.trim())
    .filter((alias) => alias !== '');
  const aliases = [...new Set(all)];
  if (aliases.length < all.length) issues.push({ key: list, problem: 'an alias is there twice' });
  for (const [key] of keysBelow(given, `${list}.`)) {
    if (aliases.some((alias) => key.startsWith(`${list}.${alias}.`))) continue;
    issues.push({ key, problem: `${list} has no such alias; there are ${all.join() || 'none'}` });
  }
  return aliases;
}

interface Aliases {
  readonly reading: FlatReading;
  readonly predicates: readonly string[];
}

function readTransform(
  alias: string,
  at: string,
  given: Properties,
  { reading, predicates }: Aliases,
): TransformDefinition | undefined {
  const prefix = `transforms.${alias}.`;
  const read = readPlugin(prefix, at, given, reading);
  if (read === undefined) return undefined;
  const predicate = given[`${prefix}predicate`];
  const negate = given[`${prefix}negate`];
  const { issues } = reading;
  if (negate !== undefined && !/^(true|false)$/i.test(negate)) {
    issues.push({ key: `${prefix}negate`, problem: 'it must be true or false' });
  }
  if (predicate === undefined) {
    if (negate === undefined) return read;
    issues.push({ key: `${prefix}negate`, problem: 'there is no predicate that it negates' });
    return read;
  }
  if (!predicates.includes(predicate)) {
    const problem = `there is no predicate ${predicate}; there are ${predicates.join() || 'none'}`;
    issues.push({ key: `${prefix}predicate`, problem });
    return read;
  }
  const condition = readPlugin(`predicates.${predicate}.`, `${at}.predicate`, given, reading);
  if (condition === undefined) return read;
  const isNegated = negate !== undefined && /^true$/i.test(negate);
  return { ...read, predicate: { ...condition, ...(isNegated && { negate: true }) } };
}

/** The plugin of an alias, and its config; undefined if it has no type. */
function readPlugin(
  prefix: string,
  at: string,
  given: Properties,
  reading: FlatReading,
): Omit<Predicate, 'negate'> | undefined {
  const { plugins, issues, keys, fields } = reading;
  const kind = prefix.startsWith('transforms.') ? 'transform' : 'predicate';
  const type = given[`${prefix}type`];
  keys.set(at, `${prefix}type`);
  keys.setPrefix(at, prefix);
  if (type === undefined) {
    issues.push({ key: `${prefix}type`, problem: `it is missing; it must be a ${kind}` });
    return undefined;
  }
  const { plugin, target } = pluginOf(type, plugins.list());
  const part = new PluginConfig(plugin, at, keys);
  if (target !== undefined && Object.hasOwn(part.fields, 'target')) {
    part.put(`${prefix}type`, target, 'target');
  }
  for (const [key, name] of keysBelow(given, prefix)) {
    if (name === 'type') continue;
    if (kind === 'transform' && (name === 'predicate' || name === 'negate')) continue;
    if (!part.put(key, given[key] ?? '', name)) part.putUnknown(name, key, given[key] ?? '');
  }
  const [list = '', alias = ''] = prefix.split('.');
  const group = `${list.charAt(0).toUpperCase()}${list.slice(1)}: ${alias}`;
  fields.push(...part.named(group));
  return { type: plugin?.name ?? type, config: part.config };
}

/** `org.apache.kafka.connect.transforms.Cast$Key` is `Cast` with the target `key`. */
function pluginOf(
  given: string,
  plugins: readonly ConnectPlugin[],
): { readonly plugin: ConnectPlugin | undefined; readonly target: string | undefined } {
  const exact = plugins.find(({ name }) => name === given);
  if (exact !== undefined) return { plugin: exact, target: undefined };
  const [, name, target] = /(?:^|\.)(\w+)(?:\$(Key|Value))?$/.exec(given) ?? [];
  return { plugin: plugins.find((each) => each.name === name), target: target?.toLowerCase() };
}

/** Transforms as flat names: the aliases are `t0`, `t1` and so on, and those of predicates `p0`. */
export function flatTransforms(transforms: readonly TransformDefinition[]): Record<string, string> {
  const flat: Record<string, string> = {};
  const predicates: string[] = [];
  for (const [index, { type, config = {}, predicate }] of transforms.entries()) {
    putAll(flat, `transforms.t${index}.`, type, config);
    if (predicate === undefined) continue;
    const alias = `p${index}`;
    predicates.push(alias);
    flat[`transforms.t${index}.predicate`] = alias;
    if (predicate.negate === true) flat[`transforms.t${index}.negate`] = 'true';
    putAll(flat, `predicates.${alias}.`, predicate.type, predicate.config ?? {});
  }
  if (transforms.length > 0) flat['transforms'] = transforms.map((_, at) => `t${at}`).join();
  if (predicates.length > 0) flat['predicates'] = predicates.join();
  return flat;
}

function putAll(
  flat: Record<string, string>,
  prefix: string,
  type: string,
  config: Readonly<Record<string, unknown>>,
): void {
  flat[`${prefix}type`] = type;
  for (const [name, value] of Object.entries(config)) {
    if (value !== undefined && value !== null) flat[`${prefix}${dottedCase(name)}`] = textOf(value);
  }
}
