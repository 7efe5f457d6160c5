import { AssertionFailure, type Serde, type StandardSchema } from '../../core/index.ts';
import { asError } from '../../core/internal.ts';
import { checkConfig, configSchema, field, type ConfigField, type ConfigIssue } from '../config.ts';
import type { SinkConnector, SourceConnector } from '../connector.ts';
import { DEFAULT_CONVERTERS } from '../converters/default-converters.ts';
import type { Converters, PluginRegistry } from '../plugin.ts';
import { checkRetries, type RetryOptions } from '../runtime/retries.ts';
import type { TransactionBoundary } from '../runtime/source-writer.ts';
import { checkTolerance, type ToleranceOptions } from '../runtime/tolerance.ts';
import { checkTopicCreation, type TopicCreationOptions } from '../runtime/topic-creation.ts';
import type { Transform } from '../transform.ts';
import { pathIssues } from './path-issues.ts';
import { hasReference, resolveConfig, type ConfigProvider } from './providers.ts';

/** A transform of a connector, by the name of its plugin. */
export interface TransformDefinition {
  readonly type: string;
  readonly config?: Readonly<Record<string, unknown>>;
  /** Only records for which this is true, or with `negate` false, go through it. */
  readonly predicate?: {
    readonly type: string;
    readonly config?: Readonly<Record<string, unknown>>;
    readonly negate?: boolean;
  };
}

/** A converter by name, such as `json`, and what it is told. */
export type ConverterDefinition =
  string | { readonly type: string; readonly config?: Readonly<Record<string, unknown>> };

/** A connector as a config file has it: plain data. */
export interface ConnectorDefinition {
  /** Identifies it in the log, for ever: a-z A-Z 0-9 . _ - */
  readonly name: string;
  /** The plugin that makes it, such as `file-source`. */
  readonly connector: string;
  /**
   * What the plugin is told. `${env:NAME}` and `${file:path:key}` stand for what is found there.
   */
  readonly config: Readonly<Record<string, unknown>>;
  /** What makes bytes of keys, and reads them. Default: `string`. */
  readonly keyConverter?: ConverterDefinition;
  /** The same of values. Default: `json`. */
  readonly valueConverter?: ConverterDefinition;
  /** The same of the values of headers, where there are values. Default: `simple`. */
  readonly headerConverter?: ConverterDefinition;
  readonly transforms?: readonly TransformDefinition[];
  readonly errors?: ToleranceOptions;
  /** A worker tries again unless `max` is 0. */
  readonly retries?: RetryOptions;
  readonly commitIntervalMs?: number;
  readonly commitRecordsMax?: number;
  /** Of sources only. */
  readonly transactionBoundary?: TransactionBoundary;
  /** Of sources only: what the topics are created with that are missing. */
  readonly topicCreation?: TopicCreationOptions;
}

/** A connector that is made, and what it runs with. */
export type MadeConnector = {
  readonly definition: ConnectorDefinition;
  readonly transforms: readonly Transform[];
} & (
  | { readonly kind: 'source'; readonly connector: SourceConnector }
  | { readonly kind: 'sink'; readonly connector: SinkConnector }
);

/** What making connectors needs. */
export interface MakingContext {
  readonly plugins: PluginRegistry;
  readonly providers: Readonly<Record<string, ConfigProvider>>;
  /** Only below these may paths in configs lead; undefined for anywhere. */
  readonly allowedRoots?: readonly string[] | undefined;
}

const CONVERTER: ConfigField<ConverterDefinition | undefined> = {
  ...{ type: 'object', doc: 'What makes bytes, and reads them.', isRequired: false },
  ...{ default: undefined, choices: undefined },
  allowed: 'the name of a converter, or { type, config }',
  parse(given) {
    const { type, config = {} } = (given ?? {}) as Readonly<Record<string, unknown>>;
    const isNamed = typeof type === 'string' && typeof config === 'object' && config !== null;
    const isOne = isNamed || (typeof given === 'string' && given !== '');
    return isOne ? { value: given as ConverterDefinition } : undefined;
  },
};

const DEFINITION = configSchema({
  name: field.string({ doc: 'Identifies the connector.' }),
  connector: field.string({ doc: 'The plugin that makes it.' }),
  config: field.object({ doc: 'What the plugin is told.', default: {} }),
  keyConverter: CONVERTER,
  valueConverter: CONVERTER,
  headerConverter: CONVERTER,
  transforms: field.objects({ doc: 'Change records, in this order.', default: [] }),
  errors: field.object({ doc: 'What becomes of bad input.', optional: true }),
  retries: field.object({ doc: 'How often it tries again.', optional: true }),
  commitIntervalMs: field.integer({ doc: 'How often it commits.', optional: true, min: 1 }),
  commitRecordsMax: field.integer({ doc: 'After how many.', optional: true, min: 1 }),
  transactionBoundary: field.choice(['interval', 'poll', 'connector'], {
    doc: 'When the transactions of a source end.',
    optional: true,
  }),
  topicCreation: field.object({ doc: 'How a source creates topics.', optional: true }),
});

/** What only a source has. */
const OF_SOURCES = ['transactionBoundary', 'topicCreation'] as const;

const NAME = /^[\w.-]{1,180}$/;

/**
 * Makes the connector of a definition, or finds every mistake in it. Nothing is opened.
 *
 * @param given what a file or a caller has; it need not be a definition.
 */
export async function makeConnector(
  given: unknown,
  context: MakingContext,
): Promise<MadeConnector | { readonly issues: readonly ConfigIssue[] }> {
  const checked = await checkConfig(DEFINITION, given);
  const making = new Making(context);
  const { issues } = making;
  if ('issues' in checked) issues.push(...checked.issues);
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return { issues };
  // Of a definition with mistakes, what is of its type is checked as well.
  const wrong = new Set(issues.map((issue) => issue.field));
  const sound = Object.entries(given).filter(([name]) => !wrong.has(name));
  const definition = Object.fromEntries(sound) as Partial<ConnectorDefinition>;
  const { name = 'unnamed', connector, config = {} } = definition;
  if (!NAME.test(name)) {
    issues.push({ field: 'name', problem: 'it must be of a-z A-Z 0-9 . _ -' });
  }
  making.try('errors', () => checkTolerance(name, definition.errors));
  making.try('retries', () => checkRetries(name, definition.retries));
  making.try('topicCreation', () => checkTopicCreation(name, definition.topicCreation));
  const plugin =
    connector === undefined
      ? undefined
      : making.try('connector', () => context.plugins.find(connector, 'source', 'sink'));
  if (plugin?.kind === 'sink') making.refuse(definition, OF_SOURCES, 'it is for sources only');
  if (plugin !== undefined && plugin.takesConverters !== true) {
    const problem = `${plugin.name} makes bytes of keys and values itself`;
    making.refuse(definition, ['keyConverter', 'valueConverter'], problem);
  }
  const converters = await making.converters(definition);
  const transforms = await making.transforms(definition.transforms ?? [], converters.header);
  if (plugin === undefined) return { issues };
  const made = await making.part({
    ...{ at: 'config', config, schema: plugin.config },
    make: (parsed) => plugin.create(parsed, { name, converters }),
  });
  if (issues.length > 0 || made === undefined) return { issues };
  const parts = { definition: definition as ConnectorDefinition, transforms };
  return plugin.kind === 'source'
    ? { ...parts, kind: 'source', connector: made as SourceConnector }
    : { ...parts, kind: 'sink', connector: made as SinkConnector };
}

/** What a plugin is made with. */
interface Part<C, T> {
  /** Where its config stands in the definition. */
  readonly at: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly schema: StandardSchema<C>;
  readonly make: (parsed: C) => T | Promise<T>;
}

/** Makes the parts of one connector, and gathers every mistake. */
class Making {
  readonly issues: ConfigIssue[] = [];
  readonly #context: MakingContext;

  constructor(context: MakingContext) {
    this.#context = context;
  }

  /** What `make` returns; undefined if it throws, which is an issue then. */
  try<T>(name: string, make: () => T): T | undefined {
    try {
      return make();
    } catch (cause) {
      this.#failed(name, cause);
      return undefined;
    }
  }

  /** Those of these that are given are issues. */
  refuse(given: object, names: readonly string[], problem: string): void {
    for (const name of names) if (name in given) this.issues.push({ field: name, problem });
  }

  /** Resolves and checks a config, and makes what it is for; undefined if there are issues. */
  async part<C, T>({ at, config, schema, make }: Part<C, T>): Promise<T | undefined> {
    const resolved = await resolveConfig(config, this.#context.providers);
    this.issues.push(...resolved.issues.map((issue) => under(at, issue)));
    const checked = await checkConfig(schema, resolved.config);
    const unresolved = new Set(resolved.issues.map((issue) => issue.field));
    const outside = await pathIssues(
      { raw: config, resolved: resolved.config, schema },
      this.#context.allowedRoots,
    );
    this.issues.push(...outside.map((issue) => under(at, issue)));
    if ('config' in checked) {
      if (unresolved.size + outside.length > 0) return undefined;
      try {
        return await make(checked.config);
      } catch (cause) {
        this.#failed(at, cause);
        return undefined;
      }
    }
    for (const issue of checked.issues) {
      if (!unresolved.has(issue.field)) this.issues.push(under(at, discreet(issue, config)));
    }
    return undefined;
  }

  #failed(name: string, cause: unknown): void {
    if (cause instanceof AssertionFailure) throw cause;
    this.issues.push({ field: name, problem: asError(cause).message });
  }

  /** Those of a definition; a default where there is a mistake. */
  async converters(definition: Partial<ConnectorDefinition>): Promise<Converters> {
    const { keyConverter, valueConverter, headerConverter } = definition;
    const key = await this.#converter('keyConverter', keyConverter);
    const value = await this.#converter('valueConverter', valueConverter);
    const header = await this.#converter('headerConverter', headerConverter);
    return {
      key: key ?? DEFAULT_CONVERTERS.key,
      value: value ?? DEFAULT_CONVERTERS.value,
      header: header ?? DEFAULT_CONVERTERS.header,
    };
  }

  async #converter(
    at: string,
    definition: ConverterDefinition | undefined,
  ): Promise<Serde<unknown> | undefined> {
    if (definition === undefined) return undefined;
    const { type, config = {} } =
      typeof definition === 'string' ? { type: definition } : definition;
    const plugin = this.try(at, () => this.#context.plugins.find(type, 'converter'));
    if (plugin === undefined) return undefined;
    return this.part({
      ...{ at: `${at}.config`, config, schema: plugin.config },
      make: (parsed) => plugin.create(parsed),
    });
  }

  async transforms(
    definitions: readonly TransformDefinition[],
    headers: Serde<unknown>,
  ): Promise<Transform[]> {
    const made: Transform[] = [];
    for (const [index, definition] of definitions.entries()) {
      const transform = await this.#transform(`transforms.${index}`, definition, headers);
      if (transform !== undefined) made.push(transform);
    }
    return made;
  }

  async #transform(
    at: string,
    { type, config = {}, predicate }: TransformDefinition,
    headers: Serde<unknown>,
  ): Promise<Transform | undefined> {
    const { plugins } = this.#context;
    const plugin = this.try(at, () => plugins.find(type, 'transform'));
    const transform =
      plugin &&
      (await this.part({
        ...{ at, config, schema: plugin.config },
        make: (parsed) => plugin.create(parsed, headers),
      }));
    if (predicate === undefined) return transform;
    const condition = this.try(`${at}.predicate`, () => plugins.find(predicate.type, 'predicate'));
    const test =
      condition &&
      (await this.part({
        ...{ at: `${at}.predicate`, config: predicate.config ?? {}, schema: condition.config },
        make: (parsed) => condition.create(parsed),
      }));
    if (transform === undefined || test === undefined) return undefined;
    const { negate = false } = predicate;
    return (record) => (test(record) === negate ? record : transform(record));
  }
}

/** An issue without the value that a reference stands for: that may be a secret. */
function discreet(issue: ConfigIssue, config: Readonly<Record<string, unknown>>): ConfigIssue {
  // Of `formatOptions.schema`, the field is `formatOptions`.
  const raw = config[issue.field.split('.')[0]!];
  if (!hasReference(raw)) return issue;
  const allowed = /^(it must be .*), not [^]*$/.exec(issue.problem)?.[1];
  const value = `what ${typeof raw === 'string' ? raw : JSON.stringify(raw)} stands for`;
  const problem =
    allowed === undefined ? `${value} is not allowed there` : `${allowed}, not ${value}`;
  return { ...issue, problem };
}

function under(at: string, { field: name, problem }: ConfigIssue): ConfigIssue {
  return { field: name === '' ? at : `${at}.${name}`, problem };
}
