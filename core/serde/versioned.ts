import { LogError } from '../errors.ts';
import { callback, checkArgument, integer, type OptionCheck } from '../options.ts';
import { NO_ROOM, type Serde } from './serde.ts';

/**
 * In front of each value, before its bytes:
 *
 *     C1 4D 56 | version u8, 1 to 254
 *
 * Neither UTF-8 text, and so JSON, nor MessagePack begins with C1. 255 is kept for a longer form.
 */
const MAGIC = Buffer.from([0xc1, 0x4d, 0x56]);
const PREFIX_BYTES = MAGIC.length + 1;
const VERSION_MAX = 254;

/** Serdes of ours whose values may begin with any bytes, a version's too. */
const ANY_BYTES: ReadonlySet<string> = new Set(['bytes', 'int32', 'double', 'bigint64']);

/**
 * Writes values in their newest version, and reads those of older ones, too, each with its own
 * serde: its upgrade makes the next version of it, and so on.
 */
export interface VersionedSerde<T> extends Serde<T> {
  /**
   * The serde of the next version. What exists keeps its bytes until it is written again.
   *
   * @param version greater than the one before, at most 254.
   * @param serde reads and writes the values of this version.
   * @param upgrade makes a value of this version of one of the version before. It is called each
   *   time that an older value is read, so it must be synchronous and must not throw.
   * @throws LogError INVALID_OPTION
   */
  upgrade<N>(version: number, serde: Serde<N>, upgrade: (old: T) => N): VersionedSerde<N>;
}

/** One version, and how its values come of those of the version before. */
interface Version {
  readonly version: number;
  readonly serde: Serde<unknown>;
  readonly upgrade: (old: unknown) => unknown;
}

/**
 * A serde whose values may change: each is written with the number of its version. Begin with the
 * oldest version that may exist, and add `upgrade` for each later one. Version 0 stands for values
 * without a number, which were written by a serde that was not versioned.
 *
 * For values of topics, and of stores, where an old value is upgraded when it is read, and written
 * in the new version when it changes. Not for keys: those are found by their bytes, which change.
 *
 * @example
 * const orders = topic('orders', {
 *   key: string(),
 *   value: versioned(0, json<{ cents: number }>())
 *     .upgrade(1, json<{ cents: number; currency: string }>(), (old) => {
 *       return { ...old, currency: 'EUR' };
 *     }),
 * });
 * @param version 0 to 254.
 * @throws LogError INVALID_OPTION also for version 0 of `bytes`, `int32`, `double` or `bigint64`:
 *   their values may begin like those with a number; those of a serde of your own must not begin
 *   with the bytes C1 4D 56. Reading throws UNKNOWN_VALUE_VERSION for a version that is not
 *   declared, such as one of a newer program.
 */
export function versioned<T>(version: number, serde: Serde<T>): VersionedSerde<T> {
  checkArgument('versioned', 'version', version, integer(0, VERSION_MAX));
  checkArgument('versioned', 'serde', serde, serdeLike);
  if (version === 0) checkArgument('versioned', 'serde', serde.name, beginsUnlikeAVersion);
  return serdeOf<T>([{ version, serde, upgrade: (old) => old }]);
}

function serdeOf<T>(versions: readonly Version[]): VersionedSerde<T> {
  const newest = versions.at(-1)!;
  const { version, serde } = newest;
  const name = nameOf(newest, serde.name);
  const places = new Map(versions.map((each, index) => [each.version, index]));
  return {
    name,
    reads: versions.flatMap((each) => {
      const names = [each.serde.name, ...(each.serde.reads ?? [])];
      return names.map((inner) => nameOf(each, inner)).filter((read) => read !== name);
    }),
    upgrade: (next, nextSerde, upgrade) => {
      checkArgument('upgrade', 'version', next, integer(version + 1, VERSION_MAX));
      checkArgument('upgrade', 'serde', nextSerde, serdeLike);
      checkArgument('upgrade', 'upgrade', upgrade, callback);
      const added = { version: next, serde: nextSerde, upgrade } as Version;
      return serdeOf([...versions, added]);
    },
    serialize: (value, target, position) => {
      if (version === 0) return serde.serialize(value, target, position);
      if (target.length - position < PREFIX_BYTES) return NO_ROOM;
      target.set(MAGIC, position);
      target[position + MAGIC.length] = version;
      return serde.serialize(value, target, position + PREFIX_BYTES);
    },
    deserialize: (source, start, end) => {
      const found = versionAt(source, start, end);
      const index = places.get(found);
      if (index === undefined) throw unknownVersion(name, found, version);
      const from = found === 0 ? start : start + PREFIX_BYTES;
      let value = versions[index]!.serde.deserialize(source, from, end);
      for (let next = index + 1; next < versions.length; next++) {
        value = checked(versions[next]!.upgrade(value), name, versions[next]!);
      }
      return value as T;
    },
  };
}

/** 0 for a value without a number. */
function versionAt(source: Buffer, start: number, end: number): number {
  if (end - start < PREFIX_BYTES) return 0;
  for (const [index, byte] of MAGIC.entries()) if (source[start + index] !== byte) return 0;
  return source[start + MAGIC.length]!;
}

/** `validated(bytes)` is `bytes`: a schema does not change how values begin. */
function withoutSchemas(name: string): string {
  return name.replace(/^(?:validated\()+/, '').replace(/\)+$/, '');
}

function nameOf({ version }: Version, inner: string): string {
  return version === 0 ? inner : `versioned(${version}, ${inner})`;
}

function checked(value: unknown, name: string, { version }: Version): unknown {
  if (value !== undefined && value !== null && !(value instanceof Promise)) return value;
  const what = value instanceof Promise ? 'a promise' : String(value);
  throw new TypeError(`the upgrade of ${name} to version ${version} returned ${what}, not a value`);
}

function unknownVersion(serde: string, version: number, newest: number): LogError {
  const what =
    version === 0
      ? 'a value without a version'
      : `a value of version ${version}, and the newest that it knows is ${newest}`;
  const hint =
    version === 0
      ? 'declare the serde that wrote it as version 0'
      : version > newest
        ? 'a newer program wrote it: run that one'
        : `declare version ${version}`;
  const details = { serde, version, newest };
  return new LogError('UNKNOWN_VALUE_VERSION', `${serde} reads ${what}; ${hint}`, details);
}

const serdeLike: OptionCheck = (value) => {
  const { name, serialize, deserialize } = (value ?? {}) as Partial<Serde<unknown>>;
  const isSerde = typeof serialize === 'function' && typeof deserialize === 'function';
  return isSerde && typeof name === 'string' ? undefined : 'a serde';
};

const beginsUnlikeAVersion: OptionCheck = (name) =>
  ANY_BYTES.has(withoutSchemas(name as string))
    ? 'one whose values cannot begin like those with a version, such as json() or string()'
    : undefined;
