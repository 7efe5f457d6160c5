import type {
  ConnectorDefinition,
  ConnectPlugin,
  ConverterDefinition,
  Properties,
} from '../../connect/index.ts';
import { PluginConfig, type FlatReading } from './flat-reading.ts';
import { dottedCase, textOf } from './flat-values.ts';

/** The fields of definitions that name converters, and Kafka Connect's names of them. */
const CONVERTERS = {
  keyConverter: 'key.converter',
  valueConverter: 'value.converter',
  headerConverter: 'header.converter',
} as const;

type Place = keyof typeof CONVERTERS;
type Parts = Pick<ConnectorDefinition, Place>;

/** True for what tells something of a converter. */
export function isConverterKey(key: string): boolean {
  return Object.values(CONVERTERS).some((name) => key === name || key.startsWith(`${name}.`));
}

/** Reads `key.converter`, what stands below it, and the same of values and headers. */
export function readConverters(given: Properties, reading: FlatReading): Parts {
  const parts = Object.entries(CONVERTERS).flatMap(([place, name]) => {
    const converter = readConverter(place, name, given, reading);
    return converter === undefined ? [] : [[place, converter]];
  });
  return Object.fromEntries(parts) as Parts;
}

function readConverter(
  place: string,
  name: string,
  given: Properties,
  { plugins, issues, keys, fields }: FlatReading,
): ConverterDefinition | undefined {
  const below = Object.keys(given).filter((key) => key.startsWith(`${name}.`));
  const type = given[name];
  if (type === undefined) {
    const problem = `it is said of a converter, but ${name} is missing`;
    for (const key of below) issues.push({ key, problem });
    return undefined;
  }
  const at = `${place}.config`;
  for (const each of [place, at]) keys.set(each, name);
  keys.setPrefix(at, `${name}.`);
  const plugin = converterOf(type, plugins.list());
  const part = new PluginConfig(plugin, at, keys);
  for (const key of below) {
    const option = key.slice(name.length + 1);
    const text = given[key] ?? '';
    if (!part.put(key, text, option)) part.putUnknown(option, key, text);
  }
  // Named as a class it is Kafka Connect's, which has schemas unless told otherwise.
  const enabling = `${name}.schemas.enable`;
  if (/\bJsonConverter$/.test(type) && !below.includes(enabling)) {
    part.put(enabling, 'true', 'schemas.enable');
  }
  fields.push(...part.named('Common'));
  const { config } = part;
  const known = plugin?.name ?? type;
  return Object.keys(config).length === 0 ? known : { type: known, config };
}

/** The names of Kafka Connect's converters that are not ours in small letters. */
const NAMES: Readonly<Record<string, string>> = { bytearray: 'bytes', simpleheader: 'simple' };

/** The converter of a name, or of a class such as `org...StringConverter`. */
function converterOf(type: string, plugins: readonly ConnectPlugin[]): ConnectPlugin | undefined {
  const all = plugins.filter(({ kind }) => kind === 'converter');
  const exact = all.find(({ name }) => name === type);
  if (exact !== undefined) return exact;
  const [, word = ''] = /(?:^|\.)(\w+)Converter$/.exec(type) ?? [];
  const small = word.toLowerCase();
  return all.find(({ name }) => name === (NAMES[small] ?? small));
}

/** The converters of a definition as flat names. */
export function flatConverters(definition: ConnectorDefinition): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [place, name] of Object.entries(CONVERTERS)) {
    const converter = definition[place as Place];
    if (converter === undefined) continue;
    if (typeof converter === 'string') {
      flat[name] = converter;
      continue;
    }
    flat[name] = converter.type;
    for (const [option, value] of Object.entries(converter.config ?? {})) {
      if (value !== undefined) flat[`${name}.${dottedCase(option)}`] = textOf(value);
    }
  }
  return flat;
}
