import { namesAround, type Serde } from './serde.ts';

/**
 * The part of Standard Schema (https://standardschema.dev, version 1) that a serde needs: zod,
 * valibot, arktype and others offer it as `~standard`.
 */
export interface StandardSchema<T> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    /** Checks a value. A serde cannot wait, so a Promise is an error there. */
    readonly validate: (value: unknown) => SchemaResult<T> | Promise<SchemaResult<T>>;
  };
}

/** The result of a schema: the value as the schema returns it, or what is wrong with it. */
export type SchemaResult<T> =
  { readonly value: T; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * Wraps `inner` and checks every value against `schema` when it is written and when it is read. The
 * schema's result (with its defaults and coercions) is what is written and what the reader gets.
 */
export function validated<T>(schema: StandardSchema<T>, inner: Serde<unknown>): Serde<T> {
  const { validate, vendor } = schema['~standard'];
  function check(value: unknown): T {
    const result = validate(value);
    if (result instanceof Promise) {
      throw new TypeError(`the ${vendor} schema validates asynchronously; a serde cannot wait`);
    }
    if (result.issues === undefined) return result.value;
    throw new TypeError(result.issues.map(describe).join('; '));
  }
  return {
    ...namesAround((name) => `validated(${name})`, inner),
    serialize: (value, target, position) => inner.serialize(check(value), target, position),
    deserialize: (source, start, end) => check(inner.deserialize(source, start, end)),
  };
}

function describe(issue: SchemaIssue): string {
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part));
  return path.length === 0 ? issue.message : `${path.join('.')}: ${issue.message}`;
}
