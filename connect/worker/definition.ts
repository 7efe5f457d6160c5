import { AssertionFailure, type StandardSchema } from '../../core/index.ts';
import { asError } from '../../core/internal.ts';
import { checkConfig, configSchema, field, type ConfigIssue } from '../config.ts';
import type { SinkConnector, SourceConnector } from '../connector.ts';
import type { PluginRegistry } from '../plugin.ts';
import { checkRetries, type RetryOptions } from '../runtime/retries.ts';
import type { TransactionBoundary } from '../runtime/source-writer.ts';
import { checkTolerance, type ToleranceOptions } from '../runtime/tolerance.ts';
import type { Transform } from '../transform.ts';
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
  readonly transforms?: readonly TransformDefinition[];
  readonly errors?: ToleranceOptions;
  /** A worker tries again unless `max` is 0. */
  readonly retries?: RetryOptions;
  readonly commitIntervalMs?: number;
  readonly commitRecordsMax?: number;
  /** Of sources only. */
  readonly transactionBoundary?: TransactionBoundary;
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
}

const DEFINITION = configSchema({
  name: field.string({ doc: 'Identifies the connector.' }),
  connector: field.string({ doc: 'The plugin that makes it.' }),
  config: field.object({ doc: 'What the plugin is told.', default: {} }),
  transforms: field.objects({ doc: 'Change records, in this order.', default: [] }),
  errors: field.object({ doc: 'What becomes of bad input.', optional: true }),
  retries: field.object({ doc: 'How often it tries again.', optional: true }),
  commitIntervalMs: field.integer({ doc: 'How often it commits.', optional: true, min: 1 }),
  commitRecordsMax: field.integer({ doc: 'After how many.', optional: true, min: 1 }),
  transactionBoundary: field.choice(['interval', 'poll', 'connector'], {
    doc: 'When the transactions of a source end.',
    optional: true,
  }),
});

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
  if ('issues' in checked) return checked;
  const definition = given as ConnectorDefinition;
  const { name, connector, config } = checked.config;
  const making = new Making(context);
  const { issues } = making;
  if (!NAME.test(name)) {
    issues.push({ field: 'name', problem: 'it must be of a-z A-Z 0-9 . _ -' });
  }
  making.try('errors', () => checkTolerance(name, definition.errors));
  making.try('retries', () => checkRetries(name, definition.retries));
  const plugin = making.try('connector', () => context.plugins.find(connector, 'source', 'sink'));
  const transforms = await making.transforms(definition.transforms ?? []);
  if (plugin === undefined) return { issues };
  const made = await making.part({
    ...{ at: 'config', config, schema: plugin.config },
    make: (parsed) => plugin.create(parsed, { name }),
  });
  if (issues.length > 0 || made === undefined) return { issues };
  const parts = { definition, transforms };
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
  readonly make: (parsed: C) => T;
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
      if (cause instanceof AssertionFailure) throw cause;
      this.issues.push({ field: name, problem: asError(cause).message });
      return undefined;
    }
  }

  /** Resolves and checks a config, and makes what it is for; undefined if there are issues. */
  async part<C, T>({ at, config, schema, make }: Part<C, T>): Promise<T | undefined> {
    const resolved = await resolveConfig(config, this.#context.providers);
    this.issues.push(...resolved.issues.map((issue) => under(at, issue)));
    const checked = await checkConfig(schema, resolved.config);
    const unresolved = new Set(resolved.issues.map((issue) => issue.field));
    if ('config' in checked) {
      return unresolved.size > 0 ? undefined : this.try(at, () => make(checked.config));
    }
    for (const issue of checked.issues) {
      if (!unresolved.has(issue.field)) this.issues.push(under(at, discreet(issue, config)));
    }
    return undefined;
  }

  async transforms(definitions: readonly TransformDefinition[]): Promise<Transform[]> {
    const made: Transform[] = [];
    for (const [index, definition] of definitions.entries()) {
      const transform = await this.#transform(`transforms.${index}`, definition);
      if (transform !== undefined) made.push(transform);
    }
    return made;
  }

  async #transform(
    at: string,
    { type, config = {}, predicate }: TransformDefinition,
  ): Promise<Transform | undefined> {
    const { plugins } = this.#context;
    const plugin = this.try(at, () => plugins.find(type, 'transform'));
    const transform =
      plugin &&
      (await this.part({
        ...{ at, config, schema: plugin.config },
        make: (parsed) => plugin.create(parsed),
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
  const raw = config[issue.field];
  if (!hasReference(raw)) return issue;
  const problem = issue.problem.replace(/, not [^]*$/, '');
  return { ...issue, problem: `${problem}, not what ${String(raw)} stands for` };
}

function under(at: string, { field: name, problem }: ConfigIssue): ConfigIssue {
  return { field: name === '' ? at : `${at}.${name}`, problem };
}
