import {
  BUILT_IN_PLUGINS,
  type ConfigField,
  type ConnectPlugin,
  type PluginRegistry,
  type Properties,
} from '../../connect/index.ts';
import type { FlatConfig } from './flat-config.ts';
import { fieldsOf, type FlatField, type FlatIssue } from './flat-reading.ts';
import { textOf } from './flat-values.ts';
import { FRAMEWORK_FIELDS, isFieldOf } from './framework-fields.ts';
import { HIDDEN } from './secrets.ts';

/** A field as Kafka Connect describes it: its `ConfigKeyInfo`. */
export interface KeyView {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly default_value: string | null;
  readonly importance: string;
  readonly documentation: string;
  readonly group: string;
  readonly width: string;
  readonly display_name: string;
  readonly dependents: readonly string[];
  readonly order_in_group: number;
}

/** A field's value, checked: Kafka Connect's `ConfigValueInfo`. */
export interface ValueView {
  readonly name: string;
  readonly value: string | null;
  readonly recommended_values: readonly string[];
  readonly errors: readonly string[];
  readonly visible: boolean;
}

/** What validation answers. */
export interface ValidationView {
  readonly name: string;
  readonly error_count: number;
  readonly groups: readonly string[];
  readonly configs: readonly {
    readonly definition: KeyView | null;
    readonly value: ValueView;
  }[];
}

/** A plugin, as Kafka Connect lists it. */
export interface PluginView {
  readonly class: string;
  readonly type: string;
  readonly version?: string;
}

/** Kafka's names of the kinds of plugins. */
const KINDS: Readonly<Record<ConnectPlugin['kind'], string>> = {
  sink: 'sink',
  source: 'source',
  transform: 'transformation',
  predicate: 'predicate',
  converter: 'converter',
};
const ORDER = Object.keys(KINDS);

/** Kafka's types of fields. */
const TYPES: Readonly<Record<ConfigField<unknown>['type'], string>> = {
  string: 'STRING',
  path: 'STRING',
  integer: 'LONG',
  number: 'DOUBLE',
  boolean: 'BOOLEAN',
  choice: 'STRING',
  list: 'LIST',
  object: 'STRING',
  objects: 'STRING',
  secret: 'PASSWORD',
};

/** The plugins, in Kafka's order of their kinds. @param version that of those that are ours. */
export function pluginViews(plugins: PluginRegistry, version: string): PluginView[] {
  const all = plugins.list();
  all.sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  const views = all.map((plugin) => ({
    ...{ class: plugin.name, type: KINDS[plugin.kind] },
    ...(BUILT_IN_PLUGINS.includes(plugin) && { version }),
  }));
  const headers = views.filter(({ type }) => type === KINDS.converter);
  // Each converter also is one of headers.
  return [...views, ...headers.map((view) => ({ ...view, type: 'header_converter' }))];
}

/** What the config of a plugin may say; of a connector also what all of them may. */
export function pluginConfigView(plugin: ConnectPlugin): KeyView[] {
  const own = Object.entries(fieldsOf(plugin)).map(([name, field]) => {
    return { key: name, field, group: plugin.name };
  });
  const { kind } = plugin;
  const framework = kind === 'source' || kind === 'sink' ? frameworkFields(kind) : [];
  return keyViews([...own, ...framework]);
}

/** Checks of a config, field by field; `issues` has all of its mistakes. */
export function validationView(
  { plugin, fields }: FlatConfig,
  given: Properties,
  issues: readonly FlatIssue[],
): ValidationView {
  const all = [...frameworkFields(plugin?.kind), ...fields];
  const keys = keyViews(all);
  const configs = all.map(({ key, field }, index) => {
    return { definition: keys[index] ?? null, value: valueView(key, field, given, issues) };
  });
  const names = new Set(all.map(({ key }) => key));
  const others = [...new Set(issues.map(({ key }) => key))].filter((key) => !names.has(key));
  for (const key of others) {
    const value = valueView(key, undefined, given, issues);
    configs.push({ definition: null, value });
  }
  return {
    name: plugin?.name ?? '',
    error_count: issues.length,
    groups: [...new Set(all.map(({ group }) => group))],
    configs,
  };
}

function frameworkFields(kind: 'source' | 'sink' | undefined): (FlatField & Described)[] {
  return Object.entries(FRAMEWORK_FIELDS)
    .filter(([, each]) => isFieldOf(each, kind))
    .map(([key, each]) => ({ key, ...each }));
}

interface Described {
  readonly importance?: string;
  readonly displayName?: string;
}

/** Describes fields; each has its place in its group. */
function keyViews(fields: readonly (FlatField & Described)[]): KeyView[] {
  const counts = new Map<string, number>();
  return fields.map(({ key, field, group, importance, displayName }) => {
    const place = (counts.get(group) ?? 0) + 1;
    counts.set(group, place);
    const { isRequired, doc, allowed } = field;
    return {
      ...{ name: key, type: TYPES[field.type], required: isRequired },
      default_value: defaultOf(field),
      importance: importance ?? (isRequired ? 'HIGH' : 'MEDIUM'),
      documentation: `${doc} It must be ${allowed}.`,
      ...{ group, width: 'MEDIUM', display_name: displayName ?? key, dependents: [] },
      order_in_group: place,
    };
  });
}

function defaultOf({ default: value }: ConfigField<unknown>): string | null {
  return value === undefined ? null : textOf(value);
}

function valueView(
  key: string,
  field: ConfigField<unknown> | undefined,
  given: Properties,
  issues: readonly FlatIssue[],
): ValueView {
  const text = Object.hasOwn(given, key) ? given[key] : undefined;
  const isSecret = field?.type === 'secret' && text !== undefined;
  const value = isSecret ? HIDDEN : (text ?? (field === undefined ? null : defaultOf(field)));
  const errors = issues.filter((issue) => issue.key === key).map(({ problem }) => problem);
  const recommended = field?.choices ?? (field?.type === 'boolean' ? ['true', 'false'] : []);
  return { name: key, value, recommended_values: recommended, errors, visible: true };
}
