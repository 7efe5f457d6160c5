import type { ConnectSchema } from './connect-schema.ts';
import { escaped, readTyped, textOf, writeTyped, type TypedOptions } from './typed-json.ts';

/** A schema as Kafka Connect's `JsonConverter` writes it: the same names in the same order. */
export function schemaText(schema: ConnectSchema, options: TypedOptions): string {
  return `{${partsOf(schema, options).join(',')}}`;
}

function partsOf(schema: ConnectSchema, options: TypedOptions): string[] {
  const { name, version, doc, parameters, default: fallback } = schema;
  const optional = `"optional":${schema.optional}`;
  const parts = [`"type":${JSON.stringify(schema.type)}`, ...innerOf(schema, options), optional];
  if (name !== undefined) parts.push(`"name":${textOf(name)}`);
  if (version !== undefined) parts.push(`"version":${version}`);
  if (doc !== undefined) parts.push(`"doc":${textOf(doc)}`);
  if (parameters !== undefined) parts.push(`"parameters":${escaped(JSON.stringify(parameters))}`);
  if (fallback !== undefined && fallback !== null) {
    const value = writeTyped(schema, readTyped(schema, fallback, options), options);
    parts.push(`"default":${value}`);
  }
  return parts;
}

function innerOf(schema: ConnectSchema, options: TypedOptions): string[] {
  switch (schema.type) {
    case 'array':
      return [`"items":${schemaText(schema.items, options)}`];
    case 'map': {
      const keys = schemaText(schema.keys, options);
      return [`"keys":${keys}`, `"values":${schemaText(schema.values, options)}`];
    }
    case 'struct': {
      const fields = schema.fields.map(({ field, schema: inner }) => {
        const parts = [...partsOf(inner, options), `"field":${textOf(field)}`];
        return `{${parts.join(',')}}`;
      });
      return [`"fields":[${fields.join(',')}]`];
    }
    default:
      return [];
  }
}
