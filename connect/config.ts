import { inspect } from 'node:util';
import { closest } from 'fastest-levenshtein';
import { AssertionFailure, type SchemaIssue, type StandardSchema } from '../core/index.ts';
import { asError, show } from '../core/internal.ts';
import { ConnectError } from './errors.ts';

/** What stands where a secret is printed. */
const HIDDEN = '[secret]';

/** Text that is printed nowhere: not in messages, not as JSON, not in a debugger's console. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself, for the call that needs it. */
  reveal(): string {
    return this.#text;
  }

  /** `[secret]`, not the text. */
  toString(): string {
    return HIDDEN;
  }

  /** As `toString`. */
  toJSON(): string {
    return HIDDEN;
  }

  /** As `toString`, for `console.log`. */
  [inspect.custom](): string {
    return HIDDEN;
  }
}

/** The kind of a field's value. */
export type ConfigType =
  | 'string'
  | 'path'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'choice'
  | 'list'
  | 'object'
  | 'objects'
  | 'secret';

/** One field of a config: what it takes, means, and is without one. `field` makes them. */
export interface ConfigField<T> {
  readonly type: ConfigType;
  /** What it means, as documentation has it. */
  readonly doc: string;
  /** True if there is neither a default nor a way to do without. */
  readonly isRequired: boolean;
  /** What it is if it is not given. */
  readonly default: T | undefined;
  /** What is allowed, in words. */
  readonly allowed: string;
  /** The only values, of a choice. */
  readonly choices: readonly string[] | undefined;
  /** The value; undefined for one that is not allowed. */
  readonly parse: (given: unknown) => { readonly value: T } | undefined;
}

/** What all fields take. */
export interface FieldOptions<T> {
  /** What it means, in a sentence. */
  readonly doc: string;
  /** What it is if it is not given. Default: none, and it must be given. */
  readonly default?: T;
  /** It may be left out without a default, and is undefined then. Default: false. */
  readonly optional?: boolean;
}

/** The value of a field with these options. */
export type FieldValue<Options, T> = Options extends { readonly optional: true }
  ? T | undefined
  : T;

/** Bounds of a field that is a number, both included. */
export interface RangeOptions {
  /** Default: none. */
  readonly min?: number;
  /** Default: none. */
  readonly max?: number;
}

interface Reading<T> {
  readonly type: ConfigType;
  readonly allowed: string;
  readonly choices?: readonly string[];
  /** Undefined for what is not allowed. */
  readonly read: (given: unknown) => T | undefined;
}

function makeField<Options extends FieldOptions<T>, T>(
  options: Options,
  { type, allowed, choices, read }: Reading<T>,
): ConfigField<FieldValue<Options, T>> {
  const { doc, optional = false } = options;
  const field: ConfigField<T> = {
    ...{ type, doc, allowed, choices, default: options.default },
    isRequired: options.default === undefined && !optional,
    parse: (given) => {
      const value = read(given);
      return value === undefined ? undefined : { value };
    },
  };
  return field as ConfigField<unknown> as ConfigField<FieldValue<Options, T>>;
}

/** Numbers and booleans may be written as text: command lines and properties know nothing else. */
function numberOf(given: unknown): number {
  return typeof given === 'string' && given.trim() !== '' ? Number(given) : (given as number);
}

function inRange(value: number, { min = -Infinity, max = Infinity }: RangeOptions): boolean {
  return value >= min && value <= max;
}

function rangeText({ min, max }: RangeOptions): string {
  if (min !== undefined && max !== undefined) return `, ${min} to ${max}`;
  if (min !== undefined) return `, ${min} or more`;
  return max === undefined ? '' : `, up to ${max}`;
}

/**
 * Makes the fields of a config.
 *
 * @example
 * const CONFIG = configSchema({
 *   url: field.string({ doc: 'Where to read.' }),
 *   intervalMs: field.integer({ doc: 'How long to wait between reads.', default: 1_000, min: 1 }),
 *   token: field.secret({ doc: 'Names the caller.', optional: true }),
 * });
 */
export const field = {
  /** Text of at least one character. */
  string: <const O extends FieldOptions<string>>(options: O): ConfigField<FieldValue<O, string>> =>
    makeField<O, string>(options, {
      ...{ type: 'string', allowed: 'a string that is not empty' },
      read: (given) => (typeof given === 'string' && given !== '' ? given : undefined),
    }),
  /** The path of a file or directory, or a pattern of such: allowed roots confine it. */
  path: <const O extends FieldOptions<string>>(options: O): ConfigField<FieldValue<O, string>> =>
    makeField<O, string>(options, {
      ...{ type: 'path', allowed: 'a string that is not empty' },
      read: (given) => (isText(given) ? given : undefined),
    }),
  /** A whole number. */
  integer: <const O extends FieldOptions<number> & RangeOptions>(
    options: O,
  ): ConfigField<FieldValue<O, number>> =>
    makeField<O, number>(options, {
      ...{ type: 'integer', allowed: `an integer${rangeText(options)}` },
      read: (given) => {
        const value = numberOf(given);
        return Number.isSafeInteger(value) && inRange(value, options) ? value : undefined;
      },
    }),
  /** Any number but NaN and the infinite ones. */
  number: <const O extends FieldOptions<number> & RangeOptions>(
    options: O,
  ): ConfigField<FieldValue<O, number>> =>
    makeField<O, number>(options, {
      ...{ type: 'number', allowed: `a number${rangeText(options)}` },
      read: (given) => {
        const value = numberOf(given);
        return Number.isFinite(value) && inRange(value, options) ? value : undefined;
      },
    }),
  /** True or false. */
  boolean: <const O extends FieldOptions<boolean>>(
    options: O,
  ): ConfigField<FieldValue<O, boolean>> =>
    makeField<O, boolean>(options, {
      ...{ type: 'boolean', allowed: 'true or false' },
      read: (given) => {
        if (given === 'true' || given === true) return true;
        return given === 'false' || given === false ? false : undefined;
      },
    }),
  /** One of some words. */
  choice: <const C extends string, const O extends FieldOptions<C>>(
    choices: readonly C[],
    options: O,
  ): ConfigField<FieldValue<O, C>> =>
    makeField<O, C>(options, {
      ...{ type: 'choice', allowed: choices.map(show).join(' or '), choices },
      read: (given) => choices.find((choice) => choice === given),
    }),
  /** Some texts: a list, or one text with commas. */
  list: <const O extends FieldOptions<readonly string[]>>(
    options: O,
  ): ConfigField<FieldValue<O, readonly string[]>> =>
    makeField<O, readonly string[]>(options, {
      ...{ type: 'list', allowed: 'a list of strings, or one string with commas' },
      read: (given) => {
        const parts: unknown = typeof given === 'string' ? given.split(/\s*,\s*/) : given;
        return Array.isArray(parts) && parts.every(isText) ? parts : undefined;
      },
    }),
  /** An object, whose fields are for the connector to check. */
  object: <const O extends FieldOptions<Readonly<Record<string, unknown>>>>(
    options: O,
  ): ConfigField<FieldValue<O, Readonly<Record<string, unknown>>>> =>
    makeField<O, Readonly<Record<string, unknown>>>(options, {
      ...{ type: 'object', allowed: 'an object' },
      read: (given) => (isObject(given) ? given : undefined),
    }),
  /** A list of such objects. */
  objects: <const O extends FieldOptions<readonly Readonly<Record<string, unknown>>[]>>(
    options: O,
  ): ConfigField<FieldValue<O, readonly Readonly<Record<string, unknown>>[]>> =>
    makeField<O, readonly Readonly<Record<string, unknown>>[]>(options, {
      ...{ type: 'objects', allowed: 'a list of objects' },
      read: (given) => (Array.isArray(given) && given.every(isObject) ? given : undefined),
    }),
  /** Text that is never printed, such as a password. */
  secret: <const O extends Omit<FieldOptions<Secret>, 'default'>>(
    options: O,
  ): ConfigField<FieldValue<O, Secret>> =>
    makeField<O, Secret>(options, {
      ...{ type: 'secret', allowed: 'a string that is not empty' },
      read: (given) => {
        if (given instanceof Secret) return given;
        return typeof given === 'string' && given !== '' ? new Secret(given) : undefined;
      },
    }),
} as const;

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The fields of a config by name. */
export type ConfigFields = Readonly<Record<string, ConfigField<unknown>>>;

/** The values of a config with these fields. */
export type ConfigValues<Fields extends ConfigFields> = {
  readonly [Name in keyof Fields]: Fields[Name] extends ConfigField<infer T> ? T : never;
};

/** The config that a schema describes. */
export type ConfigOf<Schema> = Schema extends StandardSchema<infer C> ? C : never;

/** A mistake in a config. */
export interface ConfigIssue {
  /** The name of the field; empty if it is about all of them. */
  readonly field: string;
  /** What is wrong and what is allowed, without any secret. */
  readonly problem: string;
}

/** A config, or the mistakes in what was given. */
export type ReadConfig<C> = { readonly config: C } | { readonly issues: readonly ConfigIssue[] };

/** The fields of a config, with what checks and explains them; a Standard Schema. */
export interface ConfigSchema<C> extends StandardSchema<C> {
  readonly fields: ConfigFields;
  /** The config with its defaults, or every mistake in it. */
  readonly read: (given: unknown) => ReadConfig<C>;
}

/**
 * Describes a config. What is checked about several fields together, once each is right, `check`
 * tells.
 */
export function configSchema<const Fields extends ConfigFields>(
  fields: Fields,
  check: (config: ConfigValues<Fields>) => readonly ConfigIssue[] = () => [],
): ConfigSchema<ConfigValues<Fields>> {
  return schemaOf<ConfigValues<Fields>>(fields, (given) => {
    const { values, issues } = readFields(fields, given);
    const config = values as ConfigValues<Fields>;
    const all = issues.length > 0 ? issues : check(config);
    return all.length > 0 ? { issues: all } : { config };
  });
}

/** A schema of fields that `read` reads. */
function schemaOf<C>(fields: ConfigFields, read: ConfigSchema<C>['read']): ConfigSchema<C> {
  const validate: StandardSchema<C>['~standard']['validate'] = (given) => {
    const result = read(given);
    if ('config' in result) return { value: result.config };
    const issues = result.issues.map(({ field, problem }) => ({ message: problem, path: [field] }));
    return { issues };
  };
  return { fields, read, '~standard': { version: 1, vendor: 'millrace', validate } };
}

/** A check of some fields together. */
export interface FieldsCheck {
  /** It is done if these are right, whatever the others are. */
  readonly of: readonly string[];
  /** What is wrong with them; empty if nothing is. */
  readonly check: (config: Readonly<Record<string, unknown>>) => readonly ConfigIssue[];
}

/**
 * The schema with further checks, each of some fields, so that all mistakes are told at once.
 *
 * @param more fields that are only explained: those of objects inside, by names such as `a.b`.
 */
export function withChecks<C>(
  schema: ConfigSchema<C>,
  checks: readonly FieldsCheck[],
  more: ConfigFields = {},
): ConfigSchema<C> {
  return schemaOf<C>({ ...schema.fields, ...more }, (given) => {
    const result = schema.read(given);
    const issues = 'issues' in result ? [...result.issues] : [];
    for (const { of, check } of checks) {
      const isOf = ([name]: readonly [string, unknown]): boolean => of.includes(name);
      const some = configSchema(Object.fromEntries(Object.entries(schema.fields).filter(isOf)));
      const read = some.read(isObject(given) ? pick(given, of) : given);
      if ('config' in read) issues.push(...check(read.config));
    }
    return issues.length > 0 ? { issues } : result;
  });
}

function pick(from: Readonly<Record<string, unknown>>, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}

/** What `make` says against a config, as a mistake in one field. */
export function issuesOf(field: string, make: () => unknown): readonly ConfigIssue[] {
  try {
    make();
    return [];
  } catch (cause) {
    if (cause instanceof AssertionFailure) throw cause;
    return [{ field, problem: asError(cause).message }];
  }
}

/** Reads all fields; each mistake is an issue. */
function readFields(
  fields: ConfigFields,
  given: unknown,
): { readonly values: Record<string, unknown>; readonly issues: readonly ConfigIssue[] } {
  if (!isObject(given)) {
    const problem = `it must be an object, not ${show(given)}`;
    return { values: {}, issues: [{ field: '', problem }] };
  }
  const values: Record<string, unknown> = {};
  const issues: ConfigIssue[] = [];
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(fields, name)) continue;
    const known = Object.keys(fields);
    const hint = known.length === 0 ? 'it has no fields' : `did you mean ${closest(name, known)}?`;
    issues.push({ field: name, problem: `there is no such field; ${hint}` });
  }
  for (const [name, each] of Object.entries(fields)) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value === undefined || value === null) {
      values[name] = each.default;
      if (each.isRequired) issues.push({ field: name, problem: `it is missing; ${must(each)}` });
      continue;
    }
    const parsed = each.parse(value);
    if (parsed === undefined) {
      const shown = each.type === 'secret' ? HIDDEN : show(value);
      issues.push({ field: name, problem: `${must(each)}, not ${shown}` });
    } else values[name] = parsed.value;
  }
  return { values, issues };
}

function must({ allowed }: ConfigField<unknown>): string {
  return `it must be ${allowed}`;
}

/** The mistakes in a config, all of them; the config itself if there are none. */
export async function checkConfig<C>(
  schema: StandardSchema<C>,
  given: unknown,
): Promise<{ readonly config: C } | { readonly issues: readonly ConfigIssue[] }> {
  const result = await schema['~standard'].validate(given);
  if (result.issues === undefined) return { config: result.value };
  return { issues: result.issues.map(issueOf) };
}

/**
 * The config that was given, with defaults.
 *
 * @param what whose config it is, for messages.
 * @throws ConnectError INVALID_CONFIG with every mistake in it.
 */
export async function parseConfig<C>(
  what: string,
  schema: StandardSchema<C>,
  given: unknown,
): Promise<C> {
  const result = await checkConfig(schema, given);
  if ('config' in result) return result.config;
  throw invalidConfig(what, result.issues);
}

/** INVALID_CONFIG. */
export function invalidConfig(what: string, issues: readonly ConfigIssue[]): ConnectError {
  const texts = issues.map(({ field, problem }) =>
    field === '' ? problem : `${field}: ${problem}`,
  );
  const count = texts.length === 1 ? 'a mistake' : `${texts.length} mistakes`;
  const message = `the config of ${what} has ${count}: ${texts.join('; ')}`;
  return new ConnectError('INVALID_CONFIG', message, { config: what, issues });
}

function issueOf({ message, path = [] }: SchemaIssue): ConfigIssue {
  const parts = path.map((part) => String(typeof part === 'object' ? part.key : part));
  return { field: parts.join('.'), problem: message };
}

/** The fields of a config for people: a line with name, type and default, and one that explains. */
export function explainConfig({ fields }: Pick<ConfigSchema<unknown>, 'fields'>): string[] {
  return Object.entries(fields).flatMap(([name, { doc, allowed, isRequired, default: value }]) => {
    const given = value === undefined ? 'optional' : `default ${show(value)}`;
    return [`${name}: ${allowed}${isRequired ? '' : `; ${given}`}`, `  ${doc}`];
  });
}
