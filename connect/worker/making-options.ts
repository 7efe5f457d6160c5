import { nodeFileSystem, type FileSystem } from '../../core/index.ts';
import type { ConfigIssue } from '../config.ts';
import { checkAllowed } from '../file/allowed-roots.ts';
import { PluginRegistry, type ConnectPlugin } from '../plugin.ts';
import { makeConnector, type MadeConnector, type MakingContext } from './definition.ts';
import { envProvider, fileProvider, type ConfigProvider } from './providers.ts';

/** What making connectors takes. */
export interface MakingOptions {
  /** What definitions may name. */
  readonly plugins: readonly ConnectPlugin[];
  /** What `${name:reference}` in configs stands for, besides `env` and `file`. Default: no more. */
  readonly providers?: Readonly<Record<string, ConfigProvider>>;
  /** The environment of `${env:NAME}`. Default: that of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Reads what `${file:path:key}` stands for. Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

/** How far the paths of a definition may lead. */
export interface PathOptions {
  /**
   * Only below these directories may the paths in configs lead, and those of `${file:path:key}`;
   * links are followed. Of a plugin these are the fields that `field.path` has made. Default:
   * anywhere.
   */
  readonly allowedRoots?: readonly string[];
}

/** What connectors are made with. @throws ConnectError PLUGIN_EXISTS */
export function makingContext(options: MakingOptions): MakingContext {
  const { plugins, providers = {}, env = process.env, fileSystem = nodeFileSystem } = options;
  const own = { env: envProvider(env), file: fileProvider(fileSystem) };
  return { plugins: new PluginRegistry(plugins), providers: { ...own, ...providers } };
}

/** The same for a caller who may not name all paths. */
export function confined(
  context: MakingContext,
  { fileSystem = nodeFileSystem, providers = {} }: MakingOptions,
  { allowedRoots }: PathOptions,
): MakingContext {
  if (allowedRoots === undefined) return context;
  const file = fileProvider(fileSystem, (path) => checkAllowed(path, allowedRoots));
  return { ...context, allowedRoots, providers: { ...context.providers, file, ...providers } };
}

/**
 * The mistakes in the definition of a connector, all of them. Nothing is opened or created.
 *
 * @param definition what a file or a caller has.
 * @throws ConnectError PLUGIN_EXISTS
 */
export async function validateConnector(
  definition: unknown,
  options: MakingOptions,
): Promise<readonly ConfigIssue[]> {
  const made = await makeConnector(definition, makingContext(options));
  return 'issues' in made ? made.issues : [];
}

/**
 * Makes the connector of a definition, or finds every mistake in it. Nothing is opened or created.
 *
 * @param definition what a file or a caller has.
 * @throws ConnectError PLUGIN_EXISTS
 */
export function buildConnector(
  definition: unknown,
  options: MakingOptions,
): Promise<MadeConnector | { readonly issues: readonly ConfigIssue[] }> {
  return makeConnector(definition, makingContext(options));
}
