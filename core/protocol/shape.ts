import { show, type OptionCheck } from '../options.ts';

/** What a value in a request is not, and where. */
export interface Misfit {
  /** As one would write it: `partitions[3].offset`. */
  readonly field: string;
  readonly value: string;
  readonly allowed: string;
}

/** Returns what is wrong with the value of `field`, or undefined if nothing is. */
export type Shape = (value: unknown, field: string) => Misfit | undefined;

/** A value that `check` accepts. */
export function value(check: OptionCheck): Shape {
  return (given, field) => {
    const allowed = check(given);
    return allowed === undefined ? undefined : { field, value: show(given), allowed };
  };
}

/** The same, or undefined. */
export function optional(shape: Shape): Shape {
  return (given, field) => (given === undefined ? undefined : shape(given, field));
}

/** The same, or null. */
export function nullable(shape: Shape): Shape {
  return (given, field) => (given === null ? undefined : shape(given, field));
}

/** A list of such. */
export function list(shape: Shape): Shape {
  return (given, field) => {
    if (!Array.isArray(given)) return { field, value: show(given), allowed: 'a list' };
    for (let index = 0; index < given.length; index++) {
      const misfit = shape(given[index], `${field}[${index}]`);
      if (misfit !== undefined) return misfit;
    }
    return undefined;
  };
}

/** An object with these fields; others are nobody's business. */
export function fields<Value>(shapes: {
  readonly [Name in keyof Required<Value>]: Shape;
}): Shape {
  const known = Object.entries<Shape>(shapes);
  return (given, field) => {
    if (typeof given !== 'object' || given === null) {
      return { field: field || 'request', value: show(given), allowed: 'an object' };
    }
    const prefix = field === '' ? '' : `${field}.`;
    for (const [name, shape] of known) {
      const misfit = shape((given as Record<string, unknown>)[name], prefix + name);
      if (misfit !== undefined) return misfit;
    }
    return undefined;
  };
}
