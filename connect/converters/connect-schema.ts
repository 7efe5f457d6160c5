/** Kafka Connect's schemas, in the JSON that its `JsonConverter` writes. */
import { show } from '../../core/internal.ts';

const PRIMITIVES = [
  ...['boolean', 'int8', 'int16', 'int32', 'int64', 'float', 'double', 'string', 'bytes'],
] as const;

/** What a schema has, whatever its type. */
interface SchemaParts {
  readonly optional: boolean;
  /** Of a record, or of a logical type. */
  readonly name: string | undefined;
  readonly version: number | undefined;
  readonly doc: string | undefined;
  readonly parameters: Readonly<Record<string, string>> | undefined;
  /** As JSON; undefined for none. */
  readonly default: unknown;
}

/** A schema of Kafka Connect. */
export type ConnectSchema = SchemaParts &
  (
    | { readonly type: PrimitiveType }
    | { readonly type: 'array'; readonly items: ConnectSchema }
    | { readonly type: 'map'; readonly keys: ConnectSchema; readonly values: ConnectSchema }
    | { readonly type: 'struct'; readonly fields: readonly ConnectField[] }
  );

/** The types whose values are not made of others. */
export type PrimitiveType =
  'boolean' | 'int8' | 'int16' | 'int32' | 'int64' | 'float' | 'double' | 'string' | 'bytes';

/** A field of a struct. */
export interface ConnectField {
  readonly field: string;
  readonly schema: ConnectSchema;
}

/** The names of the logical types, and what they are made of. */
export const LOGICAL = {
  decimal: 'org.apache.kafka.connect.data.Decimal',
  date: 'org.apache.kafka.connect.data.Date',
  time: 'org.apache.kafka.connect.data.Time',
  timestamp: 'org.apache.kafka.connect.data.Timestamp',
} as const;

/** @throws TypeError what is wrong with it, and where. */
export function parseConnectSchema(given: unknown, at = 'the schema'): ConnectSchema {
  const json = given as Readonly<Record<string, unknown>>;
  if (typeof given !== 'object' || given === null) {
    throw new TypeError(`${at} must be an object, not ${show(given)}`);
  }
  const { type } = json;
  const { optional, name, version, doc, parameters } = json;
  const parts: SchemaParts = {
    optional: optional === true,
    name: typeof name === 'string' ? name : undefined,
    version: Number.isInteger(version) ? (version as number) : undefined,
    doc: typeof doc === 'string' ? doc : undefined,
    parameters: parametersOf(parameters, at),
    default: json['default'],
  };
  switch (type) {
    case 'array':
      return { ...parts, type, items: parseConnectSchema(json['items'], `${at}.items`) };
    case 'map': {
      const keys = parseConnectSchema(json['keys'], `${at}.keys`);
      return { ...parts, type, keys, values: parseConnectSchema(json['values'], `${at}.values`) };
    }
    case 'struct':
      return { ...parts, type, fields: fieldsOf(json['fields'], at) };
    default:
      return checkLogical({ ...parts, type: primitiveOf(type, at) }, at);
  }
}

function primitiveOf(type: unknown, at: string): PrimitiveType {
  const found = PRIMITIVES.find((each) => each === type);
  if (found !== undefined) return found;
  const known = [...PRIMITIVES, 'array', 'map', 'struct'].join(', ');
  throw new TypeError(`${at} must have a type, one of ${known}, not ${show(type)}`);
}

function fieldsOf(given: unknown, at: string): readonly ConnectField[] {
  if (!Array.isArray(given)) throw new TypeError(`${at} must have a list of fields`);
  const fields = given.map((each: unknown, index): ConnectField => {
    const place = `${at}.fields.${index}`;
    const schema = parseConnectSchema(each, place);
    const { field } = each as { readonly field?: unknown };
    if (typeof field !== 'string') throw new TypeError(`${place} must have the name of its field`);
    return { field, schema };
  });
  const names = fields.map(({ field }) => field);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new TypeError(`${at} has the field ${twice} twice`);
  return fields;
}

function parametersOf(given: unknown, at: string): Readonly<Record<string, string>> | undefined {
  if (typeof given !== 'object' || given === null) return undefined;
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === 'string') continue;
    throw new TypeError(`${at}.parameters.${name} must be a string, not ${show(value)}`);
  }
  return given as Readonly<Record<string, string>>;
}

function checkLogical(schema: ConnectSchema, at: string): ConnectSchema {
  const types: Readonly<Record<string, string>> = {
    [LOGICAL.decimal]: 'bytes',
    [LOGICAL.date]: 'int32',
    [LOGICAL.time]: 'int32',
    [LOGICAL.timestamp]: 'int64',
  };
  const { name = '', type } = schema;
  const expected = Object.hasOwn(types, name) ? types[name] : type;
  if (expected !== type) throw new TypeError(`${at}: ${name} is of ${expected}, not of ${type}`);
  if (name === LOGICAL.decimal) scaleOf(schema);
  return schema;
}

/** The scale of a decimal. @throws TypeError if it has none. */
export function scaleOf({ parameters }: ConnectSchema): number {
  const scale = Number(parameters?.['scale'] ?? NaN);
  if (Number.isInteger(scale)) return scale;
  throw new TypeError(`a decimal must have the parameter scale, an integer`);
}

/** True if a decimal is in it, at any depth. */
export function hasDecimal(schema: ConnectSchema): boolean {
  switch (schema.type) {
    case 'array':
      return hasDecimal(schema.items);
    case 'map':
      return hasDecimal(schema.keys) || hasDecimal(schema.values);
    case 'struct':
      return schema.fields.some((each) => hasDecimal(each.schema));
    default:
      return schema.name === LOGICAL.decimal;
  }
}
