import { existsSync, readFileSync } from 'node:fs';
import { register } from 'node:module';
import { dirname, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  BUILT_IN_PLUGINS,
  parseConfigDocument,
  type ConfigDocument,
  type ConnectPlugin,
} from '../connect/index.ts';
import { LogError } from '../core/index.ts';

/** True of a file of data, and not of a program. */
export function isConfigFile(file: string): boolean {
  return /\.(json|ya?ml)$/i.test(file);
}

/**
 * Reads a config file: JSON or YAML.
 *
 * @throws LogError INVALID_OPTION if it cannot be read; ConnectError INVALID_CONFIG with each
 *   mistake of its syntax.
 */
export async function readConfigFile(file: string): Promise<ConfigDocument> {
  const text = readText(file);
  return parseConfigDocument(file, text);
}

function readText(file: string): string {
  const path = resolve(file);
  if (!existsSync(path)) throw unusable(file, 'there is no such file');
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw unusable(file, (cause as Error).message);
  }
}

/**
 * The built-in plugins and those of modules that a config file names: each exports one, or a list,
 * as its default. Their paths are relative to the file.
 */
export async function loadPlugins(file: string, modules: unknown): Promise<ConnectPlugin[]> {
  const plugins: ConnectPlugin[] = [...BUILT_IN_PLUGINS];
  for (const each of Array.isArray(modules) ? (modules as unknown[]) : []) {
    const loaded = await loadDefault(resolve(dirname(file), String(each)));
    plugins.push(...((Array.isArray(loaded) ? loaded : [loaded]) as ConnectPlugin[]));
  }
  return plugins;
}

/** The default export of a module; tsx compiles TypeScript. */
export async function loadDefault(path: string): Promise<unknown> {
  if (!existsSync(path)) throw unusable(path, 'there is no such file');
  if (/\.[cm]?tsx?$/.test(path)) await registerTypeScript();
  return ((await import(pathToFileURL(path).href)) as { readonly default?: unknown }).default;
}

async function registerTypeScript(): Promise<void> {
  const tsx = await import('tsx/esm/api');
  tsx.register();
  register(`./typescript-hooks${extname(import.meta.url)}`, import.meta.url);
}

/** INVALID_OPTION for a file that a command cannot use. */
export function unusable(file: string, reason: string, allowed = 'a file'): LogError {
  const message = `${file} cannot be used: ${reason}`;
  return new LogError('INVALID_OPTION', message, { option: 'file', value: file, allowed });
}
