import { deserializeBytes, serializeToBytes, type Serde } from '../../core/index.ts';

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
