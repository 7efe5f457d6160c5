import { closest } from 'fastest-levenshtein';
import type { StandardSchema } from '../core/index.ts';
import type { SinkConnector, SourceConnector } from './connector.ts';
import { ConnectError } from './errors.ts';
import type { ConnectRecord, Transform } from './transform.ts';

/** What all plugins have: a name for config files, and what a config may say. */
export interface PluginParts<C> {
  /** As configs name it: `file-source`. */
  readonly name: string;
  /** What it does, in a sentence. */
  readonly doc: string;
  /** `configSchema` makes one that explains itself; any Standard Schema will do. */
  readonly config: StandardSchema<C>;
}

/** What a connector is made with, besides its config. */
export interface PluginContext {
  /** The connector's name, which its offsets are kept under. */
  readonly name: string;
}

/** Makes sources from configs. */
export interface SourcePlugin<C = unknown> extends PluginParts<C> {
  readonly kind: 'source';
  /** Makes a connector; has no side effects. @throws what is wrong with the config as a whole. */
  create(config: C, context: PluginContext): SourceConnector;
}

/** Makes sinks from configs. */
export interface SinkPlugin<C = unknown> extends PluginParts<C> {
  readonly kind: 'sink';
  /** As `SourcePlugin.create`. */
  create(config: C, context: PluginContext): SinkConnector;
}

/** Makes transforms from configs. */
export interface TransformPlugin<C = unknown> extends PluginParts<C> {
  readonly kind: 'transform';
  /** Makes a transform; has no side effects. */
  create(config: C): Transform;
}

/** Makes conditions for transforms from configs. */
export interface PredicatePlugin<C = unknown> extends PluginParts<C> {
  readonly kind: 'predicate';
  /** Makes a condition; has no side effects. */
  create(config: C): (record: ConnectRecord) => boolean;
}

/** Something that configs name. */
export type ConnectPlugin = SourcePlugin | SinkPlugin | TransformPlugin | PredicatePlugin;

/** The plugins that configs may name. */
export class PluginRegistry {
  readonly #plugins = new Map<string, ConnectPlugin>();

  /** @throws ConnectError PLUGIN_EXISTS if two have one name. */
  constructor(plugins: readonly ConnectPlugin[]) {
    for (const plugin of plugins) this.add(plugin);
  }

  /** Adds a plugin. @throws ConnectError PLUGIN_EXISTS if there is one of its name. */
  add(plugin: ConnectPlugin): void {
    const { name } = plugin;
    if (this.#plugins.has(name)) {
      const message = `there are two plugins ${name}; give one of them another name`;
      throw new ConnectError('PLUGIN_EXISTS', message, { plugin: name });
    }
    this.#plugins.set(name, plugin);
  }

  /** All of them, by name. */
  list(): ConnectPlugin[] {
    return [...this.#plugins.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * The plugin of a name and one of these kinds.
   *
   * @throws ConnectError UNKNOWN_PLUGIN, with the nearest name.
   */
  find<Kind extends ConnectPlugin['kind']>(
    name: string,
    ...kinds: readonly Kind[]
  ): Extract<ConnectPlugin, { readonly kind: Kind }> {
    const found = this.#plugins.get(name);
    if (found !== undefined && kinds.includes(found.kind as Kind)) {
      return found as Extract<ConnectPlugin, { readonly kind: Kind }>;
    }
    const known = this.list().filter(({ kind }) => kinds.includes(kind as Kind));
    const nearest =
      known.length === 0
        ? undefined
        : closest(
            name,
            known.map((each) => each.name),
          );
    const hint = nearest === undefined ? 'there are none' : `did you mean ${nearest}?`;
    const message = `there is no ${kinds.join(' or ')} ${name}; ${hint}`;
    const details = { plugin: name, ...(nearest !== undefined && { nearest }) };
    throw new ConnectError('UNKNOWN_PLUGIN', message, details);
  }
}
