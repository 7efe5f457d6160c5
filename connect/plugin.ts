import { closest } from 'fastest-levenshtein';
import type { Serde, StandardSchema } from '../core/index.ts';
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

/** What makes bytes of the keys, values and headers of one connector, and reads them. */
export interface Converters {
  readonly key: Serde<unknown>;
  readonly value: Serde<unknown>;
  /** Of the values of headers. */
  readonly header: Serde<unknown>;
}

/** What a connector is made with, besides its config. */
export interface PluginContext {
  /** The connector's name, which its offsets are kept under. */
  readonly name: string;
  /** What its definition says of converters. Default: `string` for keys, `json` for values. */
  readonly converters?: Converters;
}

/** What the plugins of connectors have besides. */
export interface ConnectorPluginParts<C> extends PluginParts<C> {
  /**
   * True if its topics take `PluginContext.converters`. Default: false, and a definition that names
   * converters of keys or values is refused.
   */
  readonly takesConverters?: boolean;
}

/** Makes sources from configs. */
export interface SourcePlugin<C = unknown> extends ConnectorPluginParts<C> {
  readonly kind: 'source';
  /** Makes a connector; has no side effects. @throws what is wrong with the config as a whole. */
  create(config: C, context: PluginContext): SourceConnector;
}

/** Makes sinks from configs. */
export interface SinkPlugin<C = unknown> extends ConnectorPluginParts<C> {
  readonly kind: 'sink';
  /** As `SourcePlugin.create`. */
  create(config: C, context: PluginContext): SinkConnector;
}

/** Makes transforms from configs. */
export interface TransformPlugin<C = unknown> extends PluginParts<C> {
  readonly kind: 'transform';
  /**
   * Makes a transform; has no side effects.
   *
   * @param headers writes the values of headers. Default: `simple`.
   */
  create(config: C, headers?: Serde<unknown>): Transform;
}

/** Makes conditions for transforms from configs. */
export interface PredicatePlugin<C = unknown> extends PluginParts<C> {
  readonly kind: 'predicate';
  /** Makes a condition; has no side effects. */
  create(config: C): (record: ConnectRecord) => boolean;
}

/** Makes converters, which are serdes, from configs. */
export interface ConverterPlugin<C = unknown> extends PluginParts<C> {
  readonly kind: 'converter';
  /** Makes a converter; has no side effects but to load a package. */
  create(config: C): Serde<unknown> | Promise<Serde<unknown>>;
}

/** Something that configs name. */
export type ConnectPlugin =
  SourcePlugin | SinkPlugin | TransformPlugin | PredicatePlugin | ConverterPlugin;

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
