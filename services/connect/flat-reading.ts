import type {
  ConfigField,
  ConfigFields,
  ConnectPlugin,
  PluginRegistry,
} from '../../connect/index.ts';
import { looseValue, placeOf, setInside, valueFor } from './flat-values.ts';

/** A mistake in a config, under the name that the caller knows. */
export interface FlatIssue {
  readonly key: string;
  readonly problem: string;
}

/** A field of a flat config, with what documents it. */
export interface FlatField {
  readonly key: string;
  readonly field: ConfigField<unknown>;
  readonly group: string;
}

/** What the caller calls the places of a definition, such as `config.path`. */
export class CallersNames {
  readonly #names = new Map<string, string>();
  /** What stands before the names of what is in a place. */
  readonly #prefixes = new Map<string, string>();

  /** The first name counts that is set for a place. */
  set(place: string, name: string): void {
    if (!this.#names.has(place)) this.#names.set(place, name);
  }

  /** Sets what stands before the names of all that is in a place. */
  setPrefix(place: string, prefix: string): void {
    this.#prefixes.set(place, prefix);
  }

  /** The name of a place, or of what it is in. */
  of(place: string): string {
    for (let at = place; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
      const name = this.#names.get(at);
      const prefix = this.#prefixes.get(at);
      if (prefix !== undefined && at !== place) return prefix + place.slice(at.length + 1);
      if (name !== undefined) return name;
    }
    return place;
  }
}

/** What a flat config is read into. */
export interface FlatReading {
  readonly plugins: PluginRegistry;
  readonly issues: FlatIssue[];
  readonly keys: CallersNames;
  /** The fields of plugins that the config may have. */
  readonly fields: FlatField[];
}

/** The fields of a plugin's config; none if its schema does not tell. */
export function fieldsOf({ config }: Pick<ConnectPlugin, 'config'>): ConfigFields {
  return 'fields' in config ? (config.fields as ConfigFields) : {};
}

/** The config of one plugin, as it is put together from flat names. */
export class PluginConfig {
  readonly config: Record<string, unknown> = {};
  readonly fields: ConfigFields;
  readonly #at: string;
  readonly #keys: CallersNames;

  /** @param at where the config stands in the definition. */
  constructor(plugin: ConnectPlugin | undefined, at: string, keys: CallersNames) {
    this.fields = plugin === undefined ? {} : fieldsOf(plugin);
    this.#at = at;
    this.#keys = keys;
  }

  /**
   * Puts a text where a field has it; false if no field is meant.
   *
   * @param flat the name that finds the field, if it is not `key`, the caller's.
   */
  put(key: string, text: string, flat = key): boolean {
    const place = placeOf(this.fields, flat);
    if (place === undefined) return false;
    const { name, inside } = place;
    if (inside.length > 0) {
      const path = [name, ...inside];
      const part = this.fields[path.join('.')];
      setInside(this.config, path, part === undefined ? looseValue(text) : valueFor(part, text));
      this.#note(path.join('.'), key);
    } else {
      const value = valueFor(this.fields[name]!, text);
      const held = this.config[name];
      const both = isObject(held) && isObject(value) ? { ...value, ...held } : value;
      setInside(this.config, [name], both);
    }
    this.#note(name, key);
    return true;
  }

  /** Puts a text that no field is meant by: the plugin tells what it thinks of it. */
  putUnknown(name: string, key: string, text: string): void {
    setInside(this.config, [name], text);
    this.#note(name, key);
  }

  /** The fields, by the caller's names. */
  named(group: string): FlatField[] {
    return Object.entries(this.fields).map(([name, field]) => {
      return { key: this.#keys.of(`${this.#at}.${name}`), field, group };
    });
  }

  #note(name: string, key: string): void {
    this.#keys.set(`${this.#at}.${name}`, key);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
