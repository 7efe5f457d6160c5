import { show } from '../../core/internal.ts';
import { configSchema, field, type ConfigIssue, type ConfigOf } from '../../connect/index.ts';
import {
  fieldReader,
  numberIn,
  optional,
  orderedField,
  pathField,
  scalarField,
  scalarsField,
  type FieldRecord,
} from './fields.ts';

/** True of a record that a filter keeps. */
export type Condition = (record: FieldRecord) => boolean;

/** What a condition compares by; each of them must hold. */
const COMPARISONS = {
  equals: optional(scalarField({ doc: 'The field is this.' })),
  notEquals: optional(scalarField({ doc: 'The field is something else, or missing.' })),
  in: optional(scalarsField({ doc: 'The field is one of these.' })),
  greaterThan: optional(orderedField({ doc: 'The field is greater.' })),
  atLeast: optional(orderedField({ doc: 'The field is this, or greater.' })),
  lessThan: optional(orderedField({ doc: 'The field is less.' })),
  atMost: optional(orderedField({ doc: 'The field is this, or less.' })),
  matches: field.string({ doc: 'A regular expression that the text has.', optional: true }),
  exists: field.boolean({ doc: 'Whether there is such a field that is not null.', optional: true }),
};

/** The config of one condition. */
export const CONDITION = configSchema(
  { field: pathField({ doc: 'The field that is looked at.' }), ...COMPARISONS },
  (config) => {
    const issues: ConfigIssue[] = [];
    const comparisons = Object.keys(COMPARISONS) as (keyof typeof COMPARISONS)[];
    if (comparisons.every((each) => config[each] === undefined)) {
      const names = comparisons.join(', ');
      issues.push({ field: '', problem: `it compares with nothing; there are ${names}` });
    }
    if (config.matches !== undefined) {
      try {
        new RegExp(config.matches);
      } catch (cause) {
        issues.push({ field: 'matches', problem: (cause as Error).message });
      }
    }
    return issues;
  },
);

/** The condition of a checked config. */
export function conditionOf(config: ConfigOf<typeof CONDITION>): Condition {
  const { field: path, matches, exists } = config;
  const read = fieldReader(path);
  const tests: ((found: unknown) => boolean)[] = [];
  const { equals, notEquals, in: list } = config;
  if (equals !== undefined) tests.push((found) => same(found, equals));
  if (notEquals !== undefined) tests.push((found) => !same(found, notEquals));
  if (list !== undefined) tests.push((found) => list.some((each) => same(found, each)));
  const { greaterThan, atLeast, lessThan, atMost } = config;
  const ordered = (limit: string | number | undefined, holds: (sign: number) => boolean): void => {
    if (limit === undefined) return;
    tests.push((found) => isThere(found) && holds(compare(path, found, limit)));
  };
  ordered(greaterThan, (sign) => sign > 0);
  ordered(atLeast, (sign) => sign >= 0);
  ordered(lessThan, (sign) => sign < 0);
  ordered(atMost, (sign) => sign <= 0);
  if (matches !== undefined) {
    const expression = new RegExp(matches);
    tests.push((found) => typeof found === 'string' && expression.test(found));
  }
  if (exists !== undefined) tests.push((found) => isThere(found) === exists);
  return (record) => {
    const found = read(record);
    return tests.every((test) => test(found));
  };
}

function isThere(found: unknown): boolean {
  return found !== undefined && found !== null;
}

function same(found: unknown, given: unknown): boolean {
  return typeof found === 'bigint' ? found === toBigInt(given) : found === given;
}

function toBigInt(given: unknown): bigint | undefined {
  return Number.isSafeInteger(given) ? BigInt(given as number) : undefined;
}

/** Negative if the field is less. @throws TypeError for a text and a number. */
function compare(path: string, found: unknown, limit: string | number): number {
  if (typeof limit === 'number') return (numberIn(path, found) ?? NaN) - limit;
  if (typeof found !== 'string') {
    throw new TypeError(`${path} is ${show(found)}, and cannot be compared with ${show(limit)}`);
  }
  return found < limit ? -1 : found > limit ? 1 : 0;
}
