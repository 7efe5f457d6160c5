import type {
  ConnectorDefinition,
  PluginRegistry,
  Properties,
  SinkPlugin,
  SourcePlugin,
} from '../../connect/index.ts';
import { flatConverters, isConverterKey, readConverters } from './flat-converters.ts';
import { flatFramework, frameworkParts } from './flat-framework.ts';
import {
  CallersNames,
  PluginConfig,
  type FlatField,
  type FlatIssue,
  type FlatReading,
} from './flat-reading.ts';
import { flatTopicCreation, isTopicCreationKey, readTopicCreation } from './flat-topic-creation.ts';
import { flatTransforms, readTransforms } from './flat-transforms.ts';
import { textOf } from './flat-values.ts';
import { FRAMEWORK_FIELDS, isFieldOf } from './framework-fields.ts';

/** A flat config, read. */
export interface FlatConfig {
  readonly definition: ConnectorDefinition;
  /** The plugin that it names; undefined if there is none. */
  readonly plugin: SourcePlugin | SinkPlugin | undefined;
  /** Mistakes of the form; those of the definition are for the worker to find. */
  readonly issues: readonly FlatIssue[];
  /** What the caller calls a place of the definition, such as `config.path`. */
  readonly keyOf: (place: string) => string;
  /** The fields of plugins that such a config may have. */
  readonly fields: readonly FlatField[];
}

/**
 * Reads a config as Kafka Connect's clients write it: texts, by names with dots. The names of a
 * plugin's fields may be written with dots, too: `static.field` is `staticField`.
 */
export function readFlat(name: string, given: Properties, plugins: PluginRegistry): FlatConfig {
  const keys = new CallersNames();
  const reading: FlatReading = { plugins, issues: [], keys, fields: [] };
  const { issues, fields } = reading;
  const plugin = connectorPlugin(given['connector.class'] ?? '', plugins);
  for (const place of ['connector', 'config']) keys.set(place, 'connector.class');
  keys.setPrefix('config', '');
  const part = new PluginConfig(plugin, 'config', keys);
  const framework = new Map<string, unknown>();
  for (const [key, text] of Object.entries(given)) {
    if (key === 'name' || key === 'connector.class' || isOfOthers(key, plugin)) continue;
    if (part.put(key, text, ownName(part, key))) continue;
    const known = Object.hasOwn(FRAMEWORK_FIELDS, key) ? FRAMEWORK_FIELDS[key]! : undefined;
    if (known === undefined || !isFieldOf(known, plugin?.kind)) {
      putOther(part, key, text, issues);
      continue;
    }
    if (text === '' && key === 'errors.deadletterqueue.topic.name') continue; // Kafka's default
    const parsed = known.field.parse(text);
    if (parsed !== undefined) framework.set(key, parsed.value);
    else issues.push({ key, problem: `it must be ${known.field.allowed}, not ${quote(text)}` });
  }
  fields.push(...part.named(plugin?.name ?? ''));
  const definition = {
    ...{ name, connector: plugin?.name ?? given['connector.class'] ?? '', config: part.config },
    ...readConverters(given, reading),
    ...readTransforms(given, reading),
    ...(plugin?.kind !== 'sink' && readTopicCreation(given, reading)),
    ...frameworkParts(framework, keys),
  };
  return { definition, plugin, issues, fields, keyOf: (place) => keys.of(place) };
}

/** A definition as flat names, which `readFlat` reads as the same. */
export function toProperties(definition: ConnectorDefinition): Properties {
  const { name, connector, config, transforms = [] } = definition;
  const flat: Record<string, string> = { name, 'connector.class': connector };
  for (const [field, value] of Object.entries(config)) {
    if (value !== undefined && value !== null) flat[field] = textOf(value);
  }
  return {
    ...flat,
    ...flatConverters(definition),
    ...flatTransforms(transforms),
    ...flatFramework(name, definition),
    ...flatTopicCreation(definition),
  };
}

/** The plugin of a connector's class. */
function connectorPlugin(
  given: string,
  plugins: PluginRegistry,
): SourcePlugin | SinkPlugin | undefined {
  const found = plugins.list().find(({ name }) => name === given);
  return found?.kind === 'source' || found?.kind === 'sink' ? found : undefined;
}

/** A sink of one topic is told that as `topics`. */
function ownName({ fields }: PluginConfig, key: string): string {
  if (key !== 'topics' || Object.hasOwn(fields, 'topics')) return key;
  return Object.hasOwn(fields, 'topic') ? 'topic' : key;
}

/** True for what other parts of the definition are made of than the plugin's config. */
function isOfOthers(key: string, plugin: SourcePlugin | SinkPlugin | undefined): boolean {
  if (/^(transforms|predicates)\./.test(key) || isConverterKey(key)) return true;
  return plugin?.kind !== 'sink' && isTopicCreationKey(key);
}

/** What no field is meant by: the plugin tells what it thinks of it. */
function putOther(part: PluginConfig, key: string, text: string, issues: FlatIssue[]): void {
  if (/^(producer|consumer|admin)\.override\./.test(key)) {
    const problem = 'the clients of a connector have no settings of their own; leave it out';
    issues.push({ key, problem });
  } else part.putUnknown(key, key, text);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
