import { LogError } from '../core/index.ts';
import { loadPackage } from './packages.ts';

/** What is used of avsc's types. */
export interface AvroType {
  /** Writes a value and returns the position behind it; if negative, how many bytes are missing. */
  encode(value: unknown, target: Buffer, position: number): number;
  /** @throws Error if the value does not fit. */
  toBuffer(value: unknown): Buffer;
  /** @throws Error if the bytes are no value, or more than one. */
  fromBuffer(bytes: Buffer): unknown;
}

/** What is used of avsc. */
interface Library {
  readonly Type: {
    forSchema(schema: unknown, options: { readonly logicalTypes: object }): AvroType;
  };
  readonly types: { readonly LogicalType: new (...args: readonly unknown[]) => object };
}

const DAY_MS = 86_400_000;

/**
 * The type of a schema of Avro; `timestamp-millis` and `date` are Dates.
 *
 * @param purpose as for `loadPackage`.
 * @throws ConnectError PACKAGE_MISSING
 * @throws LogError INVALID_OPTION if avsc refuses the schema.
 */
export async function avroType(schema: unknown, purpose: string): Promise<AvroType> {
  const { default: library } = await loadPackage<{ readonly default: Library }>('avsc', purpose);
  try {
    const logicalTypes = logicalTypesOf(library);
    return library.Type.forSchema(schema, { logicalTypes });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `avro: the schema is not one of Avro: ${reason}`;
    const value = JSON.stringify(schema);
    const details = { option: 'schema', value, allowed: 'a schema of Avro' };
    throw new LogError('INVALID_OPTION', message, details, { cause });
  }
}

/** Types that take Dates, besides the numbers that they are made of. */
function logicalTypesOf({ types: { LogicalType } }: Library): object {
  const takingDates = (unitMs: number) =>
    class extends LogicalType {
      _fromValue(value: number): Date {
        return new Date(value * unitMs);
      }

      _toValue(value: unknown): unknown {
        return value instanceof Date ? Math.floor(value.getTime() / unitMs) : value;
      }
    };
  return { 'timestamp-millis': takingDates(1), date: takingDates(DAY_MS) };
}
