import {
  validateConnector,
  type ConfigDocument,
  type ConfigIssue,
  type ConnectorDefinition,
  type ConnectPlugin,
} from '../connect/index.ts';
import type { LogError } from '../core/index.ts';
import {
  isConfigFile,
  loadDefault,
  loadPlugins,
  readConfigFile,
  unusable,
} from './config-files.ts';

/** What a file for `millrace connect` has. */
interface ConnectFile {
  /** Files of plugins, relative to this one: each exports one, or a list, as its default. */
  readonly plugins?: readonly string[];
  readonly connectors: readonly ConnectorDefinition[];
  /** Where the connectors stand: `connectors.`. */
  readonly at: (index: number) => string;
}

/** The connectors of a file, and where each of them stands in it. */
export interface LoadedConnectors {
  readonly connectors: readonly ConnectorDefinition[];
  readonly plugins: readonly ConnectPlugin[];
  /** The file, unless it is a program. */
  readonly document: ConfigDocument | undefined;
  /** The path of a field of a connector in it. */
  readonly pathOf: (index: number, field: string) => string;
}

/** Reads a file of connectors, and the plugins that it names. */
export async function loadConnectors(file: string): Promise<LoadedConnectors> {
  const document = isConfigFile(file) ? await readConfigFile(file) : undefined;
  const content = document === undefined ? await loadDefault(file) : document.content;
  const { plugins: modules, connectors, at } = connectFile(file, content);
  const plugins = await loadPlugins(file, modules);
  return { connectors, plugins, document, pathOf: (index, field) => at(index) + field };
}

/** @throws ConnectError INVALID_CONFIG with every mistake in the connectors, and its line. */
export async function checkConnectors(loaded: LoadedConnectors): Promise<void> {
  const { connectors, plugins, document, pathOf } = loaded;
  if (document === undefined) return; // the worker refuses the first one with a mistake
  const issues: ConfigIssue[] = [];
  for (const [index, definition] of connectors.entries()) {
    for (const { field, problem } of await validateConnector(definition, { plugins })) {
      issues.push({ field: pathOf(index, field), problem });
    }
  }
  if (issues.length > 0) throw document.invalid(issues);
}

/** One connector, a list of them, or an object that has them and names plugins. */
function connectFile(file: string, content: unknown): ConnectFile {
  if (Array.isArray(content)) {
    return { connectors: content as ConnectorDefinition[], at: (index) => `${index}.` };
  }
  if (typeof content === 'object' && content !== null) {
    if ('connectors' in content && Array.isArray(content.connectors)) {
      const { plugins, connectors } = content as Pick<ConnectFile, 'plugins' | 'connectors'>;
      return { connectors, at: (index) => `connectors.${index}.`, ...(plugins && { plugins }) };
    }
    if ('connector' in content) {
      return { connectors: [content as ConnectorDefinition], at: () => '' };
    }
  }
  throw notConnectors(file, 'it has neither a connector nor a list of connectors');
}

/** INVALID_OPTION for a file that has no connectors. */
export function notConnectors(file: string, reason: string): LogError {
  const allowed = 'a file with connectors: { "connectors": [{ "name", "connector", "config" }] }';
  return unusable(file, reason, allowed);
}
