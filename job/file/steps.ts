import { closest } from 'fastest-levenshtein';
import { string, type AnyTopic } from '../../core/index.ts';
import { show } from '../../core/internal.ts';
import {
  configSchema,
  field,
  withChecks,
  type ConfigFields,
  type ConfigIssue,
  type ConfigSchema,
  type FieldsCheck,
} from '../../connect/index.ts';
import type { GlobalKTable, StreamsBuilder } from '../../streams/index.ts';
import {
  aggregate,
  aggregateFields,
  EMIT,
  top,
  WINDOW,
  windowsOf,
  type FieldStream,
  type Grouping,
} from './aggregation.ts';
import { CONDITION, conditionOf, type Condition } from './conditions.ts';
import {
  durationField,
  fieldReader,
  keyText,
  namesField,
  optional,
  pathField,
  pathsField,
  type Fields,
} from './fields.ts';

/** What a step is applied with. */
export interface StepContext {
  readonly builder: StreamsBuilder;
  /** The table of a topic. */
  readonly table: (topic: AnyTopic) => GlobalKTable<string, Fields>;
}

/** A checked step. */
export interface Step {
  /** The name of its store, if it has one. */
  readonly store?: string;
  readonly apply: (stream: FieldStream, context: StepContext) => FieldStream;
}

/** What checks a step. */
export interface StepPlace {
  /** The pipeline's name, after which stores are named. */
  readonly pipeline: string;
  readonly topics: ReadonlyMap<string, AnyTopic>;
}

type Checked = Step | { readonly issues: readonly ConfigIssue[] };

/** A kind of step: what it is told, and what it does. */
interface StepKind {
  /** What it does, in a sentence. */
  readonly doc: string;
  readonly check: (given: unknown, place: StepPlace) => Checked;
}

/** A kind whose config has fields; `shorthand` makes them of what stands for them. */
function kind<Schema extends ConfigSchema<unknown>>(
  doc: string,
  schema: Schema,
  make: (config: ConfigOfSchema<Schema>, place: StepPlace) => Checked,
  shorthand: (given: unknown) => unknown = (given) => given,
): StepKind {
  return {
    doc,
    check(given, place) {
      const checked = schema.read(shorthand(given));
      if ('issues' in checked) return checked;
      return make(checked.config as ConfigOfSchema<Schema>, place);
    },
  };
}

type ConfigOfSchema<Schema> = Schema extends ConfigSchema<infer C> ? C : never;

/** A schema of one field, for which a value may stand alone. */
function alone<const Fields extends ConfigFields>(
  doc: string,
  name: string,
  fields: Fields,
  make: Parameters<typeof kind<ReturnType<typeof configSchema<Fields>>>>[2],
): StepKind {
  const wrap = (given: unknown): unknown => ({ [name]: given });
  return kind(doc, configSchema(fields), make, wrap);
}

const BY = optional(pathField({ doc: 'What records are grouped by. Default: their keys.' }));
const STORE = field.string({
  doc: 'Names what the step keeps, for ever. Default: pipeline and kind, as clicks-dedupe.',
  optional: true,
});
const WINDOWS = field.object({ doc: 'size, advance, session and grace.', optional: true });

/** What is checked of windows, and of when results are passed on. */
const GROUPING_CHECKS: readonly FieldsCheck[] = [
  {
    of: ['window'],
    check({ window }) {
      if (window === undefined) return [];
      const read = WINDOW.read(window);
      return 'issues' in read ? under('window', read.issues) : [];
    },
  },
  {
    of: ['window', 'emit'],
    check({ window, emit }) {
      if (emit === 'final' && window === undefined) {
        return [{ field: 'emit', problem: 'it must be commit or each without a window' }];
      }
      const isSession = (window as Fields | undefined)?.['session'] !== undefined;
      const isEarly = isSession && emit !== undefined && emit !== 'final';
      return isEarly ? [{ field: 'emit', problem: 'it must be final for sessions' }] : [];
    },
  },
];

function fieldsIssues({ fields }: Fields): readonly ConfigIssue[] {
  const found = aggregateFields(fields as Fields);
  return 'issues' in found ? under('fields', found.issues) : [];
}

/** The kinds of steps by name. */
const KINDS: Readonly<Record<string, StepKind>> = {
  filter: {
    doc: 'Keeps the records for which a condition holds, each of a list, or one of { any: [...] }.',
    check: checkFilter,
  },
  select: alone(
    'Keeps only some fields.',
    'fields',
    {
      fields: pathsField({ doc: 'The fields, or new names for them.' }),
    },
    ({ fields }) => {
      const readers = Array.from(fields, ([name, path]) => [name, fieldReader(path)] as const);
      return {
        apply: (stream) =>
          stream.mapValues((value, { key, timestampMs }): Fields => {
            const record = { key, value, timestampMs };
            return Object.fromEntries(readers.map(([name, read]) => [name, read(record) ?? null]));
          }),
      };
    },
  ),
  rename: alone(
    'Renames fields.',
    'names',
    {
      names: namesField({ doc: 'New names by old ones.' }),
    },
    ({ names }) => ({
      apply: (stream) =>
        stream.mapValues((value): Fields => {
          const entries = Object.entries(value);
          return Object.fromEntries(entries.map(([name, each]) => [names.get(name) ?? name, each]));
        }),
    }),
  ),
  key: alone(
    'Makes a field the key, as text.',
    'path',
    {
      path: pathField({ doc: 'The field.' }),
    },
    ({ path }) => {
      const read = fieldReader(path);
      return {
        apply: (stream) =>
          stream.selectKey<string | null>((record) => keyText(path, read(record)), {
            key: string(),
          }),
      };
    },
  ),
  count: kind(
    'Counts the records of each group.',
    withChecks(
      configSchema({ by: BY, window: WINDOWS, emit: EMIT, store: STORE }),
      GROUPING_CHECKS,
    ),
    (config, place) => makeAggregate('count', { ...config, fields: { count: 'count' } }, place),
  ),
  aggregate: kind(
    'Computes count, sum, min, max and avg of the records of each group.',
    withChecks(
      configSchema({
        fields: field.object({ doc: 'The results, such as { total: { sum: price } }.' }),
        ...{ by: BY, window: WINDOWS, emit: EMIT, store: STORE },
      }),
      [...GROUPING_CHECKS, { of: ['fields'], check: fieldsIssues }],
    ),
    (config, place) => makeAggregate('aggregate', config, place),
  ),
  top: kind(
    'Keeps the first records of each group, by the numbers in a field.',
    withChecks(
      configSchema({
        n: field.integer({ doc: 'How many.', min: 1, max: 10_000 }),
        rank: pathField({ doc: 'The field that they are ranked by.' }),
        first: field.choice(['greatest', 'least'], {
          doc: 'Which come first.',
          default: 'greatest',
        }),
        by: optional(
          pathField({ doc: 'What records are grouped by. Default: they are one group.' }),
        ),
        ...{ window: WINDOWS, emit: EMIT, store: STORE },
      }),
      GROUPING_CHECKS,
    ),
    makeTop,
  ),
  dedupe: kind(
    'Drops records whose id came before.',
    configSchema({
      by: optional(pathField({ doc: 'The id, which becomes the key. Default: the key.' })),
      within: durationField({ doc: 'How far apart records of one id are duplicates.' }),
      store: STORE,
    }),
    ({ by, within: withinMs, store: given }, { pipeline }) => {
      const store = given ?? `${pipeline}-dedupe`;
      const read = by === undefined ? undefined : fieldReader(by);
      return {
        store,
        apply: (stream) => {
          const keyed =
            read === undefined
              ? stream
              : stream.selectKey<string | null>((record) => keyText(by ?? '', read(record)), {
                  key: string(),
                });
          return keyed.dedupe({ withinMs, store });
        },
      };
    },
  ),
  join: kind(
    'Looks a field up in a table: a topic, of which each key has its newest value.',
    configSchema({
      table: field.string({ doc: 'The topic.' }),
      on: optional(pathField({ doc: 'The field that has the key of the row. Default: the key.' })),
      as: field.string({ doc: 'The field that gets the row. Default: the topic.', optional: true }),
      fields: optional(pathsField({ doc: 'Instead of as: fields of the row that are copied.' })),
      kind: field.choice(['inner', 'left'], {
        doc: 'inner drops records without a row.',
        default: 'inner',
      }),
    }),
    checkJoin,
  ),
};

/** The names of the kinds of steps, with what each does. */
export const STEP_DOCS: readonly (readonly [name: string, doc: string])[] = Object.entries(
  KINDS,
).map(([name, { doc }]) => [name, doc]);

/** Checks a step: an object with the name of its kind. */
export function checkStep(given: Fields, place: StepPlace): Checked {
  const [[name, config] = ['', undefined], ...others] = Object.entries(given);
  if (name === '' || others.length > 0) {
    const problem = `it must be an object with one step, such as { key: id }, not ${show(given)}`;
    return { issues: [{ field: others[0]?.[0] ?? '', problem }] };
  }
  if (!Object.hasOwn(KINDS, name)) {
    const nearest = closest(name, Object.keys(KINDS));
    return {
      issues: [{ field: name, problem: `there is no such step; did you mean ${nearest}?` }],
    };
  }
  const checked = KINDS[name]!.check(config, place);
  return 'issues' in checked ? { issues: under(name, checked.issues) } : checked;
}

/** Mistakes in a part of a config. */
export function under(at: string, issues: readonly ConfigIssue[]): ConfigIssue[] {
  return issues.map(({ field: name, problem }) => {
    return { field: name === '' ? at : `${at}.${name}`, problem };
  });
}

function checkFilter(given: unknown): Checked {
  const isAny = typeof given === 'object' && given !== null && 'any' in given;
  const list = isAny ? given.any : Array.isArray(given) ? given : [given];
  if (!Array.isArray(list)) {
    return { issues: [{ field: 'any', problem: `it must be a list, not ${show(list)}` }] };
  }
  const conditions: Condition[] = [];
  const issues: ConfigIssue[] = [];
  for (const [index, each] of (list as unknown[]).entries()) {
    const checked = CONDITION.read(each);
    if ('config' in checked) conditions.push(conditionOf(checked.config));
    else if (isAny) issues.push(...under(`any.${index}`, checked.issues));
    else
      issues.push(
        ...(Array.isArray(given) ? under(String(index), checked.issues) : checked.issues),
      );
  }
  if (issues.length > 0) return { issues };
  return {
    apply: (stream) =>
      stream.filter((record) =>
        isAny ? conditions.some((test) => test(record)) : conditions.every((test) => test(record)),
      ),
  };
}

interface GroupingConfig {
  readonly by: string | undefined;
  readonly window: Fields | undefined;
  readonly emit: 'final' | 'commit' | 'each' | undefined;
  readonly store: string | undefined;
}

function groupingOf(
  name: string,
  { by, window, emit, store }: GroupingConfig,
  { pipeline }: StepPlace,
): Grouping {
  const read = window === undefined ? undefined : WINDOW.read(window);
  const windows = read !== undefined && 'config' in read ? windowsOf(read.config) : undefined;
  return { by, windows, emit, store: store ?? `${pipeline}-${name}` };
}

function makeAggregate(
  name: string,
  { fields, by = '@key', ...config }: GroupingConfig & { readonly fields: Fields },
  place: StepPlace,
): Checked {
  const grouping = groupingOf(name, { ...config, by }, place);
  const found = aggregateFields(fields);
  if ('issues' in found) return found;
  const { store } = grouping;
  return { store, apply: (stream) => aggregate(stream, grouping, found.fields) };
}

function makeTop(
  config: GroupingConfig & {
    readonly n: number;
    readonly rank: string;
    readonly first: 'greatest' | 'least';
  },
  place: StepPlace,
): Checked {
  const { n: count, rank: rankedBy, first, ...others } = config;
  const grouping = groupingOf('top', others, place);
  const { store } = grouping;
  return { store, apply: (stream) => top(stream, grouping, { count, rankedBy, first }) };
}

function checkJoin(
  config: {
    readonly table: string;
    readonly on: string | undefined;
    readonly as: string | undefined;
    readonly fields: ReadonlyMap<string, string> | undefined;
    readonly kind: 'inner' | 'left';
  },
  { topics }: StepPlace,
): Checked {
  const { table: name, on = '@key', as = name, fields, kind: joinKind } = config;
  const topic = topics.get(name);
  if (topic === undefined) return { issues: [unknownTopic('table', name, topics)] };
  const issues = faultsOfTable(topic);
  if (fields !== undefined && config.as !== undefined) {
    issues.push({ field: 'as', problem: 'it must be left out with fields' });
  }
  for (const path of fields?.values() ?? []) {
    if (!path.startsWith('@')) continue;
    issues.push({ field: 'fields', problem: `rows have fields, and no ${path}` });
  }
  if (issues.length > 0) return { issues };
  const find = fieldReader(on);
  const readers = Array.from(fields ?? [], ([to, path]) => [to, fieldReader(path)] as const);
  const joined = (value: Fields, row: Fields | undefined): Fields => {
    if (fields === undefined) return { ...value, [as]: row ?? null };
    const record = { key: null, value: row ?? {}, timestampMs: 0 };
    return {
      ...value,
      ...Object.fromEntries(readers.map(([to, read]) => [to, read(record) ?? null])),
    };
  };
  return {
    apply: (stream, context) => {
      const table = context.table(topic);
      if (joinKind === 'left')
        return stream.leftJoin(table, (record) => keyText(on, find(record)), joined);
      return stream.join(table, (record) => keyText(on, find(record)), joined);
    },
  };
}

function faultsOfTable({ name, key, value }: AnyTopic): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  if (key.name !== 'string') {
    const problem = `topic ${name} has keys of ${key.name}: a table has keys of string`;
    issues.push({ field: 'table', problem });
  }
  if (!hasFields(value.name)) {
    const problem = `topic ${name} has values of ${value.name}, which have no fields`;
    issues.push({ field: 'table', problem });
  }
  return issues;
}

/** The serdes of values without fields. */
const WITHOUT_FIELDS = [
  ...['string', 'bytes', 'uuid', 'int16', 'int32', 'int64', 'bigint64', 'short', 'integer', 'long'],
  ...['float', 'double'],
];

/** Whether values of a serde may have fields. */
export function hasFields(serde: string): boolean {
  return !WITHOUT_FIELDS.includes(serde);
}

/** A topic that no source and no sink names. */
export function unknownTopic(
  at: string,
  name: string,
  topics: ReadonlyMap<string, unknown>,
): ConfigIssue {
  const known = [...topics.keys()];
  const hint = known.length === 0 ? 'there are none' : `did you mean ${closest(name, known)}?`;
  return { field: at, problem: `there is no topic ${show(name)}; ${hint}` };
}
