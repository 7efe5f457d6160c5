/** Turns a schema of Avro into what decodes its values. */
import { copyOf, intervalOf, textOf, uuidOf } from '../parquet/byte-values.ts';
import {
  datesOf,
  decimalOfBytes,
  integersOf,
  timestampsOf,
  type ValueOptions,
} from '../parquet/number-values.ts';
import type { BlockInput } from './block-input.ts';

/** Decodes one value. @throws RangeError if the bytes are damaged. */
export type Decode = (input: BlockInput) => unknown;

type Schema = Readonly<Record<string, unknown>>;

/** The named types that were seen so far; a type may be part of itself. */
type Names = Map<string, Decode>;

/** @throws RangeError, TypeError if it is no schema of Avro. */
export function decoderOf(schema: unknown, options: ValueOptions): Decode {
  return new SchemaReader(options).read(schema, '');
}

const DURATION_BYTES = 12;
const UUID_BYTES = 16;

class SchemaReader {
  readonly #options: ValueOptions;
  readonly #names: Names = new Map();

  constructor(options: ValueOptions) {
    this.#options = options;
  }

  /** @param namespace of names without one. */
  read(schema: unknown, namespace: string): Decode {
    if (typeof schema === 'string') return this.#named(schema, namespace);
    if (Array.isArray(schema)) {
      return unionOf(schema.map((branch: unknown) => this.read(branch, namespace)));
    }
    if (typeof schema !== 'object' || schema === null) throw unknownType(schema);
    const fields = schema as Schema;
    switch (fields['type']) {
      case 'record':
      case 'error':
        return this.#record(fields, namespace);
      case 'enum':
        return this.#define(fields, namespace, enumOf(listOf(fields, 'symbols')));
      case 'fixed':
        return this.#define(fields, namespace, this.#fixed(fields));
      case 'array':
        return arrayOf(this.read(fields['items'], namespace));
      case 'map':
        return mapOf(this.read(fields['values'], namespace));
      default:
        return this.#logical(fields) ?? this.read(fields['type'], namespace);
    }
  }

  #named(name: string, namespace: string): Decode {
    const primitive = this.#primitive(name);
    if (primitive !== undefined) return primitive;
    const known = this.#names.get(fullName(name, namespace)) ?? this.#names.get(name);
    if (known === undefined) throw unknownType(name);
    return known;
  }

  #primitive(name: string): Decode | undefined {
    const integer = integersOf(true, this.#options);
    switch (name) {
      case 'null':
        return () => null;
      case 'boolean':
        return booleanOf;
      case 'int':
        return (input) => input.int();
      case 'long':
        return (input) => {
          input.long();
          return input.note(integer(input.low, input.high));
        };
      case 'float':
        return (input) => input.bytes.readFloatLE(input.skip(4));
      case 'double':
        return (input) => input.bytes.readDoubleLE(input.skip(8));
      case 'string':
        return bytesOf(textOf);
      case 'bytes':
        return bytesOf(copyOf);
      default:
        return undefined;
    }
  }

  #define(schema: Schema, namespace: string, decode: Decode): Decode {
    this.#names.set(nameOf(schema, namespace).full, decode);
    return decode;
  }

  #record(schema: Schema, namespace: string): Decode {
    const { full, namespace: own } = nameOf(schema, namespace);
    const names: string[] = [];
    const decoders: Decode[] = [];
    const decode = recordOf(names, decoders);
    this.#names.set(full, decode); // before its fields, of which it may be one
    for (const field of listOf(schema, 'fields')) {
      const { name, type } = (field ?? {}) as { readonly name?: unknown; readonly type?: unknown };
      if (typeof name !== 'string') throw new TypeError('a field of its schema has no name');
      names.push(name);
      decoders.push(this.read(type, own));
    }
    return decode;
  }

  /** A type with a meaning beyond its bytes; undefined for one that does not fit, or is unknown. */
  #logical(schema: Schema): Decode | undefined {
    const { type, logicalType } = schema as { readonly type?: unknown; logicalType?: unknown };
    const dates = datesOf(this.#options);
    if (type === 'int' && logicalType === 'date') {
      return (input) => input.note(dates(input.int()));
    }
    if (type === 'bytes' && logicalType === 'decimal') return bytesOf(this.#decimal(schema));
    const unit = /^(?:local-)?timestamp-(milli|micro|nano)s$/.exec(String(logicalType))?.[1];
    if (type !== 'long' || unit === undefined) return undefined;
    const timestamp = timestampsOf(`${unit}s`.toUpperCase() as 'MILLIS', this.#options);
    return (input) => {
      input.long();
      return input.note(timestamp(input.low, input.high));
    };
  }

  #fixed(schema: Schema): Decode {
    const { size, logicalType } = schema as { readonly size?: unknown; logicalType?: unknown };
    if (!Number.isSafeInteger(size) || (size as number) < 0) {
      throw new TypeError('a fixed of its schema has no size');
    }
    const sizeBytes = size as number;
    let convert: FromBytes = copyOf;
    if (logicalType === 'decimal') convert = this.#decimal(schema);
    if (logicalType === 'duration' && sizeBytes === DURATION_BYTES) convert = intervalOf;
    if (logicalType === 'uuid' && sizeBytes === UUID_BYTES) convert = uuidOf;
    return (input) => {
      const start = input.skip(sizeBytes);
      return input.note(convert(input.bytes, start, start + sizeBytes));
    };
  }

  #decimal({ scale = 0 }: Schema): FromBytes {
    // As the specification has it, a meaning that makes no sense is left out.
    if (!Number.isSafeInteger(scale) || (scale as number) < 0 || (scale as number) > SCALE_MAX) {
      return copyOf;
    }
    const decimals = { scale: scale as number, numbers: this.#options.numbers };
    return (source, start, end) => decimalOfBytes(source.subarray(start, end), decimals);
  }
}

/** Such a number has no more digits than an attack could make it have. */
const SCALE_MAX = 10_000;

type FromBytes = (source: Buffer, start: number, end: number) => unknown;

function bytesOf(convert: FromBytes): Decode {
  return (input) => {
    const length = input.long();
    const start = input.skip(length);
    return input.note(convert(input.bytes, start, start + length));
  };
}

function booleanOf(input: BlockInput): boolean {
  const byte = input.byte();
  if (byte > 1) throw new RangeError(`${byte} is no boolean`);
  return byte === 1;
}

function enumOf(symbols: readonly unknown[]): Decode {
  return (input) => at(symbols, input.long(), 'symbol');
}

function unionOf(branches: readonly Decode[]): Decode {
  return (input) => at(branches, input.long(), 'branch')(input);
}

function at<T>(list: readonly T[], index: number, what: string): T {
  if (index < 0 || index >= list.length) {
    throw new RangeError(`${what} ${index} of ${list.length} that its schema has`);
  }
  return list[index]!;
}

/** @param names and `decoders` of the fields, which are filled in later. */
function recordOf(names: readonly string[], decoders: readonly Decode[]): Decode {
  return (input) => {
    input.spend();
    const record: Record<string, unknown> = {};
    for (let index = 0; index < names.length; index++) {
      put(record, names[index]!, decoders[index]!(input));
    }
    return record;
  };
}

/** `__proto__` is a name like any other. */
function put(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') object[name] = value;
  else Object.defineProperty(object, name, { value, ...OWN });
}

const OWN = { writable: true, enumerable: true, configurable: true } as const;

function arrayOf(decode: Decode): Decode {
  return (input) => {
    const items: unknown[] = [];
    eachItem(input, () => items.push(decode(input)));
    return items;
  };
}

function mapOf(decode: Decode): Decode {
  const text = bytesOf(textOf);
  return (input) => {
    const map: Record<string, unknown> = {};
    eachItem(input, () => {
      const key = text(input);
      put(map, typeof key === 'string' ? key : '', decode(input));
    });
    return map;
  };
}

/** Items come in runs with a count, up to one of none; a negative count has the bytes behind it. */
function eachItem(input: BlockInput, take: () => void): void {
  for (;;) {
    let count = input.long();
    if (count === 0) return;
    if (count < 0) {
      count = -count;
      input.long();
    }
    for (; count > 0; count--) {
      input.spend();
      take();
    }
  }
}

function nameOf(schema: Schema, namespace: string): { full: string; namespace: string } {
  const { name, namespace: own = namespace } = schema as { name?: unknown; namespace?: unknown };
  if (typeof name !== 'string') throw new TypeError('a type of its schema has no name');
  const full = fullName(name, String(own));
  return { full, namespace: full.slice(0, Math.max(0, full.lastIndexOf('.'))) };
}

function fullName(name: string, namespace: string): string {
  return name.includes('.') || namespace === '' ? name : `${namespace}.${name}`;
}

function listOf(schema: Schema, field: string): readonly unknown[] {
  const list = schema[field];
  if (Array.isArray(list)) return list;
  throw new TypeError(`its schema has a ${String(schema['type'])} without ${field}`);
}

function unknownType(type: unknown): TypeError {
  return new TypeError(`its schema names a type that there is not: ${JSON.stringify(type)}`);
}
