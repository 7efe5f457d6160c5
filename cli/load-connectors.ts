import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  BUILT_IN_PLUGINS,
  type ConnectorDefinition,
  type ConnectPlugin,
} from '../connect/index.ts';
import { LogError } from '../core/index.ts';
import { registerTypeScript } from './load-job.ts';

/** What a file for `millrace connect` has. */
interface ConnectFile {
  /** Files of plugins, relative to this one: each exports one, or a list, as its default. */
  readonly plugins?: readonly string[];
  readonly connectors: readonly ConnectorDefinition[];
}

/** Reads a file of connectors, and the plugins that it names. */
export async function loadConnectors(
  file: string,
): Promise<{ connectors: readonly ConnectorDefinition[]; plugins: readonly ConnectPlugin[] }> {
  const path = resolve(file);
  if (!existsSync(path)) throw notConnectors(file, 'there is no such file');
  const content: unknown =
    extname(path) === '.json' ? parseJson(file, path) : await loadDefault(path);
  const { plugins = [], connectors } = connectFile(file, content);
  const own: ConnectPlugin[] = [];
  for (const each of plugins) {
    const loaded = await loadDefault(resolve(dirname(path), each));
    own.push(...((Array.isArray(loaded) ? loaded : [loaded]) as ConnectPlugin[]));
  }
  return { connectors, plugins: [...BUILT_IN_PLUGINS, ...own] };
}

/** One connector, a list of them, or an object that has them and names plugins. */
function connectFile(file: string, content: unknown): ConnectFile {
  if (Array.isArray(content)) return { connectors: content as ConnectorDefinition[] };
  if (typeof content === 'object' && content !== null) {
    if ('connectors' in content && Array.isArray(content.connectors)) return content as ConnectFile;
    if ('connector' in content) return { connectors: [content as ConnectorDefinition] };
  }
  throw notConnectors(file, 'it has neither a connector nor a list of connectors');
}

function parseJson(file: string, path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw notConnectors(file, `it is not JSON: ${(cause as Error).message}`);
  }
}

/** The default export of a module; tsx compiles TypeScript. */
async function loadDefault(path: string): Promise<unknown> {
  if (!existsSync(path)) throw notConnectors(path, 'there is no such file');
  if (/\.[cm]?tsx?$/.test(path)) await registerTypeScript();
  return ((await import(pathToFileURL(path).href)) as { readonly default?: unknown }).default;
}

/** INVALID_OPTION for a file that has no connectors. */
export function notConnectors(file: string, reason: string): LogError {
  const allowed = 'a file with connectors: { "connectors": [{ "name", "connector", "config" }] }';
  const message = `${file} cannot be used: ${reason}`;
  return new LogError('INVALID_OPTION', message, { option: 'file', value: file, allowed });
}
