import { deserializeBytes, serializeToBytes, type Serde } from '../../core/index.ts';
import { StoreCodec } from './codec.ts';

/**
 * Returns a function that copies values, by their serde, if they are objects: for what an operator
 * keeps of the changes of a table, whose values a function may later change in place.
 */
export function copying<V>(serde: Serde<V>): (value: V | null) => V | null {
  return (value) =>
    typeof value === 'object' && value !== null
      ? deserializeBytes(serde, serializeToBytes(serde, value))
      : value;
}

/**
 * Returns a function that returns a value as it is, if a store can write it.
 *
 * The function throws StreamsError SERIALIZATION_FAILED.
 */
export function checking<V>(store: string, serde: Serde<V>): <T>(value: T) => T {
  const spec = {
    name: store,
    kind: 'keyValue',
    key: serde,
    value: serde,
    backing: 'none',
  } as const;
  const codec = new StoreCodec(spec);
  return (value) => {
    if (value === null || value === undefined) return value;
    const entry = { key: undefined, windowStartMs: undefined, value, timestampMs: 0 };
    codec.encodeValue(entry as never);
    return value;
  };
}
