import type { KeyValue } from '../../../streams/index.ts';
import type { Value, WindowedValue } from './spec.ts';

/*
 * The functions of the topologies by name; Functions.java has the same.
 */

type Nullable = Value | null;

/** The form in which functions see a key or value. */
export function text(value: Nullable | undefined): string {
  if (!isWindowed(value)) return String(value ?? null);
  const { key, windowStartMs, windowEndMs } = value;
  return `${text(key)}@${windowStartMs}..${Number.isFinite(windowEndMs) ? windowEndMs : null}`;
}

function isWindowed(value: Nullable | undefined): value is WindowedValue {
  return typeof value === 'object' && value !== null;
}

export function hash(value: Nullable | undefined): number {
  const characters = text(value);
  let sum = 7;
  for (let at = 0; at < characters.length; at++) {
    sum = (sum * 31 + characters.charCodeAt(at)) % 10_007;
  }
  return sum;
}

/** Keeps the texts that grow from step to step short. */
export function cut(long: string): string {
  return long.length <= 40 ? long : `${long.slice(0, 24)}#${hash(long)}`;
}

const PREDICATES: Table<(key: Nullable, value: Nullable) => boolean> = {
  even: (_, value) => hash(value) % 2 === 0,
  third: (_, value) => hash(value) % 3 === 0,
  valued: (_, value) => value !== null,
  'early-key': (key) => hash(key) % 3 !== 0,
  all: () => true,
};

const MAPPERS: Table<(key: Nullable, value: Nullable) => Nullable> = {
  tag: (_, value) => cut(`${text(value)}'`),
  digit: (_, value) => hash(value) % 10,
  nullable: (_, value) => (hash(value) % 4 === 0 ? null : value),
  'with-key': (key, value) => cut(`${text(key)}:${text(value)}`),
};

/** Keys whose bytes sort otherwise than they do. */
const WILD: readonly Value[] = ['a', 'a!', 'ö', '～', '😀', 9, 10, 100];

const SELECTORS: Table<(key: Nullable, value: Nullable) => Nullable> = {
  'by-value': (_, value) => `k${hash(value) % 3}`,
  nullable: (_, value) => (hash(value) % 4 === 0 ? null : `n${hash(value) % 2}`),
  same: (key) => key,
  plain: (key) => (isWindowed(key) ? key.key : key),
  letter: (_, value) => 'abcde'.charAt(hash(value) % 5),
  wild: (_, value) => WILD[hash(value) % WILD.length]!,
  'by-key': (key) => (key === null ? null : `g${hash(key) % 2}`),
};

const PAIRS: Table<(key: Nullable, value: Nullable) => KeyValue<Nullable, Nullable>> = {
  swap: (key, value) => ({ key: `s${hash(value) % 4}`, value: text(key) }),
  'null-keys': (key, value) => ({ key: hash(value) % 5 === 0 ? null : key, value }),
  'null-values': (key, value) => ({ key, value: hash(value) % 3 === 0 ? null : value }),
};

const REDUCERS: Table<(left: Nullable, right: Nullable) => Nullable> = {
  append: (left, right) => cut(text(left) + text(right)),
  greatest: (left, right) => (text(left) >= text(right) ? left : right),
  nullable: (_, right) => (hash(right) % 3 === 0 ? null : right),
  remove: (left, right) => cut(`${text(left)}-${text(right)}`),
  'remove-nullable': (left, right) => (hash(right) % 3 === 0 ? null : left),
};

const ADDERS: Table<(key: Nullable, value: Nullable, aggregate: Nullable) => Nullable> = {
  append: (key, value, aggregate) => cut(`${text(aggregate)}${text(key)}+${text(value)}`),
  nullable: (_, value, aggregate) => (hash(value) % 3 === 0 ? null : cut(`${text(aggregate)}n`)),
  remove: (_, value, aggregate) => cut(`${text(aggregate)}-${text(value)}`),
  'remove-nullable': (_, value, aggregate) => (hash(value) % 3 === 0 ? null : aggregate),
  greatest: (_, value, aggregate) => (text(value) >= text(aggregate) ? text(value) : aggregate),
};

const FOREIGN_KEYS: Table<(key: Nullable, value: Nullable) => string | null> = {
  'by-row': (key, value) => 'abcde'.charAt((hash(key) + hash(value)) % 5),
  'by-value': (_, value) => 'abcde'.charAt(hash(value) % 5),
  nullable: (_, value) => (hash(value) % 4 === 0 ? null : 'abc'.charAt(hash(value) % 3)),
};

type Table<T> = Readonly<Record<string, T>>;

function named<T>(table: Table<T>, name: string | undefined): T {
  const found = table[name ?? ''];
  if (found === undefined) throw new TypeError(`no function ${String(name)}`);
  return found;
}

export const predicate = (name: string | undefined) => named(PREDICATES, name);
export const mapper = (name: string | undefined) => named(MAPPERS, name);
export const selector = (name: string | undefined) => named(SELECTORS, name);
export const pair = (name: string | undefined) => named(PAIRS, name);
export const reducer = (name: string | undefined) => named(REDUCERS, name);
export const adder = (name: string | undefined) => named(ADDERS, name);
export const foreignKey = (name: string | undefined) => named(FOREIGN_KEYS, name);

/** None, one or two values. */
export function several(name: string | undefined, key: Nullable, value: Nullable): Nullable[] {
  const map = mapper(name);
  const made: Nullable[] = [];
  for (let count = hash(value) % 3; count > 0; count--) {
    made.push(map(key, value));
    if (count === 2) made.push(value);
  }
  return made;
}

/** None, one or two records. */
export function pairs(
  name: string | undefined,
  key: Nullable,
  value: Nullable,
): KeyValue<Nullable, Nullable>[] {
  const map = pair(name);
  return several('tag', key, value).map((each) => map(key, each));
}

export function join(left: Nullable | undefined, right: Nullable | undefined): Value {
  return cut(`(${text(left)}|${text(right)})`);
}

export function merge(left: Nullable, right: Nullable): string {
  return cut(`${text(left)}&${text(right)}`);
}
