import { show, type OptionCheck } from '../options.ts';

/** What a value in a request is not, and where. */
export interface Misfit {
  /** As one would write it, or nothing for the whole value: `partitions[3].offset`. */
  readonly field: string;
  readonly value: string;
  readonly allowed: string;
}

/** Returns what is wrong with a value, or undefined if nothing is. */
export type Shape = (value: unknown) => Misfit | undefined;

/** A value that `check` accepts. */
export function value(check: OptionCheck): Shape {
  return (given) => {
    const allowed = check(given);
    return allowed === undefined ? undefined : misfit(given, allowed);
  };
}

/** The same, or undefined. */
export function optional(shape: Shape): Shape {
  return (given) => (given === undefined ? undefined : shape(given));
}

/** The same, or null. */
export function nullable(shape: Shape): Shape {
  return (given) => (given === null ? undefined : shape(given));
}

/** A list of such. */
export function list(shape: Shape): Shape {
  return (given) => {
    if (!Array.isArray(given)) return misfit(given, 'a list');
    for (let index = 0; index < given.length; index++) {
      const found = shape(given[index]);
      if (found !== undefined) return within(`[${index}]`, found);
    }
    return undefined;
  };
}

/** An object with these fields; others are nobody's business. */
export function fields<Value>(shapes: {
  readonly [Name in keyof Required<Value>]: Shape;
}): Shape {
  const names = Object.keys(shapes);
  const checks = Object.values<Shape>(shapes);
  return (given) => {
    if (typeof given !== 'object' || given === null) return misfit(given, 'an object');
    for (let index = 0; index < names.length; index++) {
      const name = names[index]!;
      const found = checks[index]!((given as Record<string, unknown>)[name]);
      if (found !== undefined) return within(name, found);
    }
    return undefined;
  };
}

/** The value itself is not what is allowed. */
export function misfit(given: unknown, allowed: string): Misfit {
  return { field: '', value: show(given), allowed };
}

/** The same, seen from what holds the value. Only then are names put together: most values fit. */
function within(name: string, { field, ...rest }: Misfit): Misfit {
  const isNamed = field !== '' && !field.startsWith('[');
  return { field: name + (isNamed ? `.${field}` : field), ...rest };
}
