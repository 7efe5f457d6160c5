import { describe, expect, test } from 'vitest';
import {
  STATE_FORMAT_VERSION,
  type StateEnvironment,
  type StoredChange,
  type KeyRange,
} from './environment.ts';

/** Environments of one kind, which a test may reopen. */
export interface EnvironmentKind {
  readonly name: string;
  /** The part of a property's runs to do: most of their time is that of opening an environment. */
  readonly share: number;
  /** Makes a new location for one. */
  readonly place: () => EnvironmentPlace;
}

/** The location of an environment's data. */
export interface EnvironmentPlace {
  /** Opens it with these stores; close the previous environment first. */
  readonly open: (stores: readonly string[]) => Promise<StateEnvironment>;
}

const meta = { formatVersion: STATE_FORMAT_VERSION, changelogOffsets: { s: 7 } };
const put = (key: string, value: string): StoredChange => ({
  key: Buffer.from(key),
  value: Buffer.from(value),
});
const remove = (key: string): StoredChange => ({ key: Buffer.from(key), value: undefined });

/** The tests of every StateEnvironment. */
export function environmentSuite({ name, place }: EnvironmentKind): void {
  describe(`a ${name} environment`, () => {
    const all = (environment: StateEnvironment, store: string, from = '', to?: string) =>
      [...environment.range(store, Buffer.from(from), to === undefined ? to : Buffer.from(to))].map(
        ({ key, value }) => `${key.toString()}=${value.toString()}`,
      );

    test('[STATE-1] keeps the changes and the meta of a checkpoint', async () => {
      const { open } = place();
      let environment = await open(['s', 't']);
      expect(environment.readMeta()).toBeUndefined();
      const changes = new Map([
        ['s', [put('a', '1'), put('b', '2')]],
        ['t', [put('a', '9')]],
      ]);
      environment.checkpoint(changes, meta);
      for (let time = 0; time < 2; time++) {
        expect(environment.readMeta()).toEqual(meta);
        expect(environment.get('s', Buffer.from('a'))?.toString()).toBe('1');
        expect(environment.get('t', Buffer.from('a'))?.toString()).toBe('9');
        expect(environment.get('t', Buffer.from('b'))).toBeUndefined();
        expect(all(environment, 's')).toEqual(['a=1', 'b=2']);
        await environment.close();
        environment = await open(['s', 't']);
      }
      await environment.close();
    });

    test('[STATE-1] replaces and removes', async () => {
      const environment = await place().open(['s']);
      environment.checkpoint(new Map([['s', [put('a', '1'), put('b', '2'), put('c', '3')]]]), meta);
      environment.checkpoint(
        new Map([['s', [put('b', 'two'), remove('c'), remove('none')]]]),
        meta,
      );
      expect(all(environment, 's')).toEqual(['a=1', 'b=two']);
      await environment.close();
    });

    test('[STATE-1] returns ranges in byte order of the keys, without the end', async () => {
      const environment = await place().open(['s']);
      const keys = ['a', 'aa', 'b', 'ab', 'B', 'ä', '~'];
      environment.checkpoint(new Map([['s', keys.map((key) => put(key, key))]]), meta);
      const list = (from: string, to?: string) =>
        all(environment, 's', from, to).map((each) => each.split('=')[0]);
      expect(list('')).toEqual(['B', 'a', 'aa', 'ab', 'b', '~', 'ä']);
      expect(list('aa', 'b')).toEqual(['aa', 'ab']);
      expect(list('c')).toEqual(['~', 'ä']);
      expect(list('zz', 'zzz')).toEqual([]);
      await environment.close();
    });

    test('[STATE-READ-1] returns ranges against the order, the empty key last', async () => {
      const environment = await place().open(['s']);
      const keys = ['a', 'aa', '', 'b', 'ab', '\0', '\0\0'];
      environment.checkpoint(new Map([['s', keys.map((key) => put(key, key))]]), meta);
      const list = (from: string, to?: string, isReverse = true) => {
        const end = to === undefined ? to : Buffer.from(to);
        const range = environment.range('s', Buffer.from(from), end, isReverse);
        return [...range].map(({ key }) => key.toString());
      };
      const all = ['', '\0', '\0\0', 'a', 'aa', 'ab', 'b'];
      expect(list('', undefined, false)).toEqual(all);
      expect(list('')).toEqual(all.reverse());
      expect(list('aa')).toEqual(['b', 'ab', 'aa']);
      expect(list('a', 'b')).toEqual(['ab', 'aa', 'a']);
      expect(list('', 'a')).toEqual(['\0\0', '\0', '']);
      expect(list('', '')).toEqual([]);
      expect(list('b', 'a')).toEqual([]);
      await environment.close();
    });

    test('[STATE-READ-1] returns long ranges whole, in parts', async () => {
      const environment = await place().open(['s']);
      const keys = Array.from({ length: 5_000 }, (_, index) => String(index).padStart(5, '0'));
      environment.checkpoint(new Map([['s', keys.map((key) => put(key, key))]]), meta);
      for (const isReverse of [false, true]) {
        const range = environment.range('s', Buffer.from('00007'), Buffer.from('04990'), isReverse);
        const found = [...range].map(({ key }) => key.toString());
        expect(isReverse ? found.reverse() : found).toEqual(keys.slice(7, 4_990));
      }
      await environment.close();
    });

    test('[STATE-1] removes ranges of keys, or all, before later changes', async () => {
      const environment = await place().open(['s', 't']);
      const rows = ['', 'a', 'b', 'ba', 'c'].map((key) => put(key, '1'));
      const changes = new Map([
        ['s', rows],
        ['t', rows],
      ]);
      const range = (start: string, end?: string): KeyRange => {
        return { start: Buffer.from(start), end: end === undefined ? end : Buffer.from(end) };
      };
      environment.checkpoint(changes, meta);
      environment.checkpoint(new Map([['s', [range('b', 'c'), put('bb', '2')]]]), meta);
      expect(all(environment, 's').sort()).toEqual(['=1', 'a=1', 'bb=2', 'c=1']);
      environment.checkpoint(new Map([['s', [range('bb'), range('x', 'y')]]]), meta);
      expect(all(environment, 's').sort()).toEqual(['=1', 'a=1']);
      environment.checkpoint(new Map([['s', [range(''), put('z', '3')]]]), meta);
      expect(all(environment, 's')).toEqual(['z=3']);
      expect(all(environment, 't').sort()).toEqual(['=1', 'a=1', 'b=1', 'ba=1', 'c=1']);
      await environment.close();
    });

    test('[STATE-2] results stay unchanged by later reads and writes', async () => {
      const environment = await place().open(['s']);
      environment.checkpoint(new Map([['s', [put('a', 'first'), put('b', 'other')]]]), meta);
      const a = environment.get('s', Buffer.from('a'));
      const b = environment.get('s', Buffer.from('b'));
      const range = [...environment.range('s', Buffer.alloc(0), undefined)];
      environment.checkpoint(new Map([['s', [put('a', 'FIRST'), put('b', 'OTHER')]]]), meta);
      expect([a?.toString(), b?.toString()]).toEqual(['first', 'other']);
      expect(range.map(({ value }) => value.toString())).toEqual(['first', 'other']);
      await environment.close();
    });

    test('[STATE-3] accepts empty keys and values, and keys of the greatest length', async () => {
      const { open } = place();
      let environment = await open(['s']);
      const long = 'x'.repeat(1977);
      const changes = [put('', 'empty'), put('a', ''), put(long, 'long')];
      environment.checkpoint(new Map([['s', changes]]), meta);
      await environment.close();
      environment = await open(['s']);
      expect(environment.get('s', Buffer.alloc(0))?.toString()).toBe('empty');
      expect(environment.get('s', Buffer.from('a'))).toHaveLength(0);
      expect(environment.get('s', Buffer.from(long))?.toString()).toBe('long');
      expect(all(environment, 's').sort()).toEqual(['=empty', 'a=', `${long}=long`]);
      environment.checkpoint(new Map([['s', [remove('')]]]), meta);
      expect(environment.get('s', Buffer.alloc(0))).toBeUndefined();
      await environment.close();
    });

    test('[STATE-4] stores may have any name, and may change with the topology', async () => {
      const { open } = place();
      let environment = await open(['meta', 's']);
      const changes = new Map([
        ['meta', [put('meta', '1')]],
        ['s', [put('a', '2')]],
      ]);
      environment.checkpoint(changes, meta);
      await environment.close();
      environment = await open(['new']);
      expect(environment.readMeta()).toEqual(meta);
      expect(all(environment, 'new')).toEqual([]);
      await environment.close();
      environment = await open(['s', 'meta']);
      expect(all(environment, 'meta')).toEqual(['meta=1']);
      expect(all(environment, 's')).toEqual(['a=2']);
      await environment.close();
    });

    test('[STATE-5] a checkpoint of another format counts as missing', async () => {
      const environment = await place().open(['s']);
      environment.checkpoint(new Map([['s', [put('a', '1')]]]), { ...meta, formatVersion: 99 });
      expect(environment.readMeta()).toBeUndefined();
      environment.clear();
      expect(all(environment, 's')).toEqual([]);
      await environment.close();
    });
  });
}
