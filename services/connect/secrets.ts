import type { ConnectorStatus, PluginRegistry, Properties } from '../../connect/index.ts';
import { toProperties, readFlat } from './flat-config.ts';
import type { FlatIssue } from './flat-reading.ts';

/** What stands for a secret, as in Kafka Connect's validation. */
export const HIDDEN = '[hidden]';

/** A reference such as `${env:TOKEN}` is no secret: what it stands for is. */
const REFERENCE = /^\$\{[\w-]+:[^}]*\}$/;

/** The config of a connector as callers see it, but for its secrets. */
export function propertiesOf({ properties, definition }: ConnectorStatus): Properties {
  return properties ?? toProperties(definition);
}

/** The same without secrets: those that are written out are hidden. */
export function shownProperties(status: ConnectorStatus, plugins: PluginRegistry): Properties {
  const properties = propertiesOf(status);
  const secrets = secretsIn(status.name, properties, plugins);
  const entries = Object.entries(properties).map(([key, text]) => {
    return [key, secrets.has(key) && !REFERENCE.test(text) ? HIDDEN : text];
  });
  return Object.fromEntries(entries) as Properties;
}

/** A config that a caller sends for a connector, and the one that it has. */
interface ReturnedConfig {
  readonly name: string;
  readonly given: Properties;
  readonly before: Properties;
}

/** Puts secrets back that a caller has read hidden and returns as they were. */
export function withSecrets(
  { name, given, before }: ReturnedConfig,
  plugins: PluginRegistry,
): { readonly properties: Properties; readonly issues: readonly FlatIssue[] } {
  const secrets = secretsIn(name, given, plugins);
  const issues: FlatIssue[] = [];
  const entries = Object.entries(given).map(([key, text]) => {
    if (text !== HIDDEN || !secrets.has(key)) return [key, text];
    const known = Object.hasOwn(before, key) ? before[key] : undefined;
    if (known === undefined) issues.push({ key, problem: `${HIDDEN} stands for no secret so far` });
    return [key, known ?? text];
  });
  return { properties: Object.fromEntries(entries) as Properties, issues };
}

/** The names under which a config has secrets. */
function secretsIn(name: string, given: Properties, plugins: PluginRegistry): Set<string> {
  const { fields } = readFlat(name, given, plugins);
  return new Set(fields.filter(({ field }) => field.type === 'secret').map(({ key }) => key));
}
