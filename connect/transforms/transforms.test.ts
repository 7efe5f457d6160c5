import { describe, expect, test } from 'vitest';
import { NO_HEADERS } from '../../core/index.ts';
import { parseConfig } from '../config.ts';
import { BUILT_IN_PLUGINS } from '../worker/built-in-plugins.ts';
import { PluginRegistry } from '../plugin.ts';
import type { ConnectRecord } from '../transform.ts';

const plugins = new PluginRegistry(BUILT_IN_PLUGINS);

const record: ConnectRecord = {
  ...{ topic: 'orders', partition: 2, offset: 7, key: 'k', timestampMs: 1_500_000_000_123 },
  value: { id: '17', user: { name: 'Ann', age: 30 }, tags: ['a'], secret: 'x', none: null },
  headers: [{ key: 'trace', value: Buffer.from('t1') }],
};

async function apply(name: string, config: object, given = record): Promise<ConnectRecord | null> {
  const plugin = plugins.find(name, 'transform');
  return plugin.create(await parseConfig(name, plugin.config, config))(given);
}

const value = (changes: object) => ({ value: { ...(record.value as object), ...changes } });

describe('[CONNECT-TRANSFORM-2] transforms of Kafka Connect by name', () => {
  test.each<readonly [name: string, config: object, expected: object | null]>([
    ['Cast', { spec: 'id:integer,secret:string' }, value({ id: 17 })],
    ['Cast', { spec: 'string', target: 'value' }, { value: JSON.stringify(record.value) }],
    ['DropHeaders', { headers: 'trace' }, { headers: [] }],
    ['DropHeaders', { headers: 'other' }, record],
    ['ExtractField', { field: 'user.name' }, { value: 'Ann' }],
    ['ExtractField', { field: 'nothing' }, { value: null }],
    ['Filter', {}, null],
    [
      'Flatten',
      { delimiter: '_' },
      {
        value: {
          ...{ id: '17', user_name: 'Ann', user_age: 30, tags: ['a'], secret: 'x', none: null },
        },
      },
    ],
    [
      'HeaderFrom',
      { fields: 'id', headers: 'x-id', operation: 'copy' },
      { headers: [...record.headers, { key: 'x-id', value: Buffer.from('17') }] },
    ],
    ['HoistField', { field: 'key', target: 'key' }, { key: { key: 'k' } }],
    [
      'InsertField',
      {
        ...{ topicField: 't', partitionField: 'p', offsetField: 'o', timestampField: 'at' },
        ...{ staticField: 's', staticValue: 'v' },
      },
      value({ t: 'orders', p: 2, o: 7, at: 1_500_000_000_123, s: 'v' }),
    ],
    [
      'InsertHeader',
      { header: 'a', valueLiteral: 'b' },
      { headers: [...record.headers, { key: 'a', value: Buffer.from('b') }] },
    ],
    ['MaskField', { fields: 'secret,tags' }, value({ secret: '', tags: [] })],
    ['MaskField', { fields: ['secret'], replacement: '***' }, value({ secret: '***' })],
    ['RegexRouter', { regex: 'ord(.*)', replacement: 'new-$1' }, { topic: 'new-ers' }],
    ['RegexRouter', { regex: 'ord', replacement: 'x' }, record],
    [
      'ReplaceField',
      { include: 'id,secret', renames: 'id:key' },
      { value: { key: '17', secret: 'x' } },
    ],
    ['TimestampRouter', {}, { topic: 'orders-20170714' }],
    ['ValueToKey', { fields: 'id,nothing' }, { key: { id: '17', nothing: null } }],
  ])('%s %j', async (name, config, expected) => {
    const before = structuredClone(record.value);
    const after = await apply(name, config);
    if (expected === null) expect(after).toBeNull();
    else expect(after).toEqual({ ...record, ...expected });
    expect(record.value).toEqual(before);
  });

  test('TimestampConverter writes a time in other ways', async () => {
    const at = { ...record, value: { at: '2017-07-14T02:40:00.000Z' } };
    const convert = async (targetType: string, more: object = {}) => {
      const changed = await apply('TimestampConverter', { field: 'at', targetType, ...more }, at);
      return (changed?.value as { readonly at: unknown }).at;
    };
    expect(await convert('unix')).toBe(1_500_000_000_000);
    expect(await convert('unix', { unixPrecision: 'seconds' })).toBe(1_500_000_000);
    expect(await convert('Timestamp')).toEqual(new Date(1_500_000_000_000));
    expect(await convert('Date')).toEqual(new Date('2017-07-14'));
    expect(await convert('Time')).toEqual(new Date((2 * 60 + 40) * 60_000));
    expect(await convert('unix', { unixPrecision: 'nanoseconds' })).toBe(
      1_500_000_000_000_000_000n,
    );
    expect(await convert('string')).toBe('2017-07-14T02:40:00.000Z');
    const failed = apply(
      'TimestampConverter',
      { field: 'id', targetType: 'unix' },
      {
        ...record,
        value: { id: 'soon' },
      },
    );
    await expect(failed).rejects.toThrow('"soon" is no time');
  });

  test('leave tombstones alone, and say what has no fields', async () => {
    const tombstone = { ...record, value: null };
    for (const [name, config] of [
      ['Flatten', {}],
      ['MaskField', { fields: 'a' }],
      ['ReplaceField', { exclude: 'a' }],
      ['InsertField', { topicField: 't' }],
    ] as const) {
      expect(await apply(name, config, tombstone)).toBe(tombstone);
    }
    const text = { ...record, value: 'text' };
    await expect(apply('Flatten', {}, text)).rejects.toThrow(
      'the value is "text", and not an object',
    );
    await expect(apply('Cast', { spec: 'id:date' })).rejects.toThrow('"date" is no type');
  });

  test('predicates tell records apart', async () => {
    const holds = async (name: string, config: object, given = record): Promise<boolean> => {
      const plugin = plugins.find(name, 'predicate');
      return plugin.create(await parseConfig(name, plugin.config, config))(given);
    };
    expect(await holds('TopicNameMatches', { pattern: 'ord.*' })).toBe(true);
    expect(await holds('TopicNameMatches', { pattern: 'ord' })).toBe(false);
    expect(await holds('HasHeaderKey', { name: 'trace' })).toBe(true);
    expect(await holds('HasHeaderKey', { name: 'trace' }, { ...record, headers: NO_HEADERS })).toBe(
      false,
    );
    expect(await holds('RecordIsTombstone', {}, { ...record, value: null })).toBe(true);
    expect(await holds('RecordIsTombstone', {})).toBe(false);
  });
});
