import { customSerde, json, type Serde } from '../../core/index.ts';
import { asBuffer, JSON_NUMBERS, parseJson, show, stringifyJson } from '../../core/internal.ts';
import { configSchema, field, type ConfigIssue, type ConfigOf } from '../config.ts';
import type { ConverterPlugin } from '../plugin.ts';
import { hasDecimal, parseConnectSchema, type ConnectSchema } from './connect-schema.ts';
import { schemaText } from './schema-text.ts';
import { escaped, parseExactly, readTyped, writeTyped, type TypedOptions } from './typed-json.ts';

const CONFIG = configSchema(
  {
    schemasEnable: field.boolean({
      doc: "Whether records are Kafka Connect's envelope, { schema, payload }.",
      default: false,
    }),
    schema: field.object({
      doc: 'The schema of what is written, as Kafka Connect writes it; without one it is null.',
      optional: true,
    }),
    decimalFormat: field.choice(['BASE64', 'NUMERIC'], {
      doc: 'How decimals of a schema are written: as bytes, or as numbers.',
      default: 'BASE64',
    }),
    replaceNullWithDefault: field.boolean({
      doc: 'Whether the default of a field in a schema stands in for null.',
      default: true,
    }),
    numbers: field.choice(JSON_NUMBERS, {
      doc: 'Without a schema: what becomes of numbers that a double cannot hold.',
      default: 'bigint',
    }),
  },
  ({ schema }) => (schema === undefined ? [] : schemaIssues(schema)),
);

type JsonConfig = ConfigOf<typeof CONFIG>;

function schemaIssues(schema: unknown): readonly ConfigIssue[] {
  try {
    parseConnectSchema(schema);
    return [];
  } catch (cause) {
    return [{ field: 'schema', problem: cause instanceof Error ? cause.message : String(cause) }];
  }
}

/**
 * JSON, plain, or with the schema in each record: Kafka Connect's `JsonConverter`. Values of a
 * schema are typed: its bytes are base64, its decimals are text here, its dates and times Dates.
 */
export const jsonConverter: ConverterPlugin<JsonConfig> = {
  kind: 'converter',
  name: 'json',
  doc: "JSON, plain or in Kafka Connect's envelope with a schema.",
  config: CONFIG,
  create(config): Serde<unknown> {
    const { schemasEnable, schema: given, numbers } = config;
    const schema = given === undefined ? undefined : parseConnectSchema(given);
    if (schemasEnable) return envelopeSerde(schema, config);
    return schema === undefined ? json({ numbers }) : typedSerde(schema, config);
  },
};

/** The payload alone, of a schema that is known. */
function typedSerde(schema: ConnectSchema, options: TypedOptions): Serde<unknown> {
  const isExact = hasDecimal(schema);
  return customSerde<unknown>({
    name: 'json',
    serialize: (value) => Buffer.from(writeTyped(schema, value, options)),
    deserialize: (bytes) =>
      readTyped(schema, isExact ? parseExactly(textOf(bytes)) : parse(bytes, 'bigint'), options),
  });
}

function envelopeSerde(schema: ConnectSchema | undefined, config: JsonConfig): Serde<unknown> {
  const head = `{"schema":${schema === undefined ? 'null' : schemaText(schema, config)},"payload":`;
  const schemas = new SchemaCache();
  return customSerde<unknown>({
    name: 'json',
    serialize(value) {
      const payload = schema === undefined ? plainJson(value) : writeTyped(schema, value, config);
      return Buffer.from(`${head}${payload}}`);
    },
    deserialize(bytes) {
      const envelope = envelopeOf(parse(bytes, config.numbers));
      if (envelope.schema === null) return envelope.payload;
      const own = schemas.get(envelope.schema);
      const payload = hasDecimal(own)
        ? envelopeOf(parseExactly(textOf(bytes))).payload
        : envelope.payload;
      return readTyped(own, payload, config);
    },
  });
}

/** @throws TypeError for what JSON lacks. */
function plainJson(value: unknown): string {
  const text = stringifyJson(value);
  if (text === undefined) throw new TypeError(`${typeof value} has no JSON form`);
  return escaped(text);
}

interface Envelope {
  readonly schema: unknown;
  readonly payload: unknown;
}

function envelopeOf(value: unknown): Envelope {
  const isObject = typeof value === 'object' && value !== null;
  const names = isObject ? Object.keys(value).sort().join() : '';
  if (names === 'payload,schema') return value as Envelope;
  throw new TypeError(
    `it has no envelope { schema, payload } but ${show(value)}; read plain JSON with ` +
      'schemasEnable: false',
  );
}

function parse(bytes: Uint8Array, numbers: (typeof JSON_NUMBERS)[number]): unknown {
  return parseJson(textOf(bytes), bytes, 0, bytes.length, numbers);
}

function textOf(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('utf8');
}

/** As many as Kafka Connect keeps (`schemas.cache.size`). */
const SCHEMAS_MAX = 1_000;

/** Most records of a topic have the same schema. */
class SchemaCache {
  readonly #schemas = new Map<string, ConnectSchema>();

  get(given: unknown): ConnectSchema {
    const text = JSON.stringify(given);
    let schema = this.#schemas.get(text);
    if (schema !== undefined) return schema;
    schema = parseConnectSchema(given);
    if (this.#schemas.size >= SCHEMAS_MAX) this.#schemas.clear();
    this.#schemas.set(text, schema);
    return schema;
  }
}
