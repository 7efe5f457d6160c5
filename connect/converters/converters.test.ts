import { describe, expect, test } from 'vitest';
import { bytes, deserializeBytes, json, serializeToBytes, type Serde } from '../../core/index.ts';
import { parseConfig } from '../config.ts';
import { PluginRegistry } from '../plugin.ts';
import { BUILT_IN_PLUGINS } from '../worker/built-in-plugins.ts';

const plugins = new PluginRegistry(BUILT_IN_PLUGINS);

async function converter(name: string, config: object = {}): Promise<Serde<unknown>> {
  const plugin = plugins.find(name, 'converter');
  return plugin.create(await parseConfig(name, plugin.config, config));
}

const hexOf = (serde: Serde<unknown>, value: unknown): string =>
  serializeToBytes(serde, value).toString('hex');
const textOf = (serde: Serde<unknown>, value: unknown): string =>
  serializeToBytes(serde, value).toString();
const read = (serde: Serde<unknown>, text: string): unknown =>
  deserializeBytes(serde, Buffer.from(text));

describe('[CONNECT-CONVERTERS-2] converters of single values', () => {
  test.each([
    ['string', 'é', 'c3a9'],
    ['boolean', true, '01'],
    ['short', -2, 'fffe'],
    ['integer', 258, '00000102'],
    ['long', 2n ** 62n, '4000000000000000'],
    ['float', 1.5, '3fc00000'],
    ['double', -1.5, 'bff8000000000000'],
    ['bytes', Buffer.of(1, 2), '0102'],
    ['msgpack', { a: 1 }, 'de0001a16101'],
  ])('%s', async (name, value, expected) => {
    const serde = await converter(name);
    expect(hexOf(serde, value)).toBe(expected);
    expect(deserializeBytes(serde, Buffer.from(expected, 'hex'))).toEqual(value);
  });

  test('refuse what they have no bytes for', async () => {
    for (const [name, value] of [
      ['string', { a: 1 }],
      ['boolean', 1],
      ['short', 0x8000],
      ['integer', 1.5],
      ['long', 2 ** 60],
      ['float', 1e39],
      ['double', '1'],
      ['bytes', 'text'],
    ] as const) {
      const serde = await converter(name);
      expect(() => serializeToBytes(serde, value), name).toThrow();
    }
    const boolean = await converter('boolean');
    expect(() => deserializeBytes(boolean, Buffer.of(2))).toThrow(/0 or 1, got 02/);
  });

  test('carry lines and JSON without a copy: they are the serdes of code', async () => {
    expect(await converter('json')).toBe(json());
    expect(await converter('bytes')).toBe(bytes());
  });
});

const DECIMAL = {
  type: 'bytes',
  name: 'org.apache.kafka.connect.data.Decimal',
  parameters: { scale: '2' },
};
const RECORD = {
  type: 'struct',
  fields: [
    { field: 'id', type: 'int64' },
    { field: 'price', ...DECIMAL },
    { field: 'tags', type: 'array', items: { type: 'string' }, optional: true },
    { field: 'at', type: 'int64', name: 'org.apache.kafka.connect.data.Timestamp' },
    { field: 'share', type: 'float', optional: true },
  ],
};

describe('[CONNECT-CONVERTERS-4] JSON of a schema', () => {
  const value = { id: 2n ** 60n, price: '12.30', tags: ['a'], at: new Date(5), share: 0.1 };

  test('keeps all digits and types', async () => {
    const serde = await converter('json', { schemasEnable: true, schema: RECORD });
    const text = textOf(serde, value);
    const payload = text.slice(text.indexOf('"payload":'));
    expect(payload).toBe(
      '"payload":{"id":1152921504606846976,"price":"BM4=","tags":["a"],"at":5,"share":0.1}}',
    );
    expect(read(serde, text)).toEqual(value);
    const numeric = await converter('json', { schema: RECORD, decimalFormat: 'NUMERIC' });
    expect(textOf(numeric, value)).toContain('"price":12.30,');
    const long = { ...value, price: '12345678901234567890.12' };
    expect(read(numeric, textOf(numeric, long))).toEqual(long);
  });

  test('tells where a value does not fit', async () => {
    const serde = await converter('json', { schemasEnable: true, schema: RECORD });
    const write = (change: object) => () => serializeToBytes(serde, { ...value, ...change });
    expect(write({ id: 'x' })).toThrow('id: "x" stands where the schema wants an integer');
    expect(write({ id: 2n ** 63n })).toThrow(/id: .* does not fit into 64 bits/);
    expect(write({ price: '1.234' })).toThrow('has more than 2 digits behind the point');
    expect(write({ at: null })).toThrow('at: null stands where the schema wants a value');
    expect(write({ tags: ['a', 1] })).toThrow('tags: 1: 1 stands where the schema wants a string');
    expect(write({ more: 1 })).toThrow('the schema has no field more');
    expect(() => read(serde, '{"id":1}')).toThrow(/schemasEnable: false/);
  });

  test('has its schema checked with the config', async () => {
    const check = (schema: object) => converter('json', { schema });
    await expect(check({ type: 'int33' })).rejects.toThrow(/schema: .*int32.*not "int33"/);
    await expect(check({ type: 'struct', fields: [{ type: 'string' }] })).rejects.toThrow(
      /the schema.fields.0 must have the name of its field/,
    );
    await expect(check({ ...DECIMAL, parameters: {} })).rejects.toThrow(/the parameter scale/);
  });
});

test('[CONNECT-CONVERTERS-5] Avro is written and read by the schema in the config', async () => {
  const fields = [
    { name: 'n', type: 'int' },
    { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } },
  ];
  const serde = await converter('avro', { schema: { type: 'record', name: 'R', fields } });
  const value = { n: 3, at: new Date(1_500_000_000_123) };
  expect(hexOf(serde, value)).toBe('06f6e1bcefa757');
  expect(deserializeBytes(serde, serializeToBytes(serde, value))).toEqual(value);
  expect(() => serializeToBytes(serde, { n: 'x', at: value.at })).toThrow();
  await expect(converter('avro', { schema: { type: 'nope' } })).rejects.toThrow(
    /the schema is not one of Avro/,
  );
});

describe('[CONNECT-CONVERTERS-3] headers', () => {
  test.each<readonly [text: string, value: unknown]>([
    ['', ''],
    ['12', 12],
    ['-1.5e3', -1500],
    ['9223372036854775808', 9223372036854775808n],
    ['12abc', '12abc'],
    ['true', true],
    ['truely', 'truely'],
    ['null', null],
    ['2019-08-23', new Date('2019-08-23')],
    ['14:34:54.346Z', new Date('1970-01-01T14:34:54.346Z')],
    ['2019-08-23T14:34:54.346Z', new Date('2019-08-23T14:34:54.346Z')],
    ['[1, 2]', [1, 2]],
    ['[1, "a"]', [1, 'a']],
    ['[1, null]', '[1, null]'],
    ['{"a":[1],"b":[2]}', { a: [1], b: [2] }],
    ['[1', '[1'],
    ['a, b', 'a, b'],
  ])('what stands in "%s"', async (text, value) => {
    expect(read(await converter('simple'), text)).toEqual(value);
  });

  test('are text of values', async () => {
    const serde = await converter('simple');
    const value = { a: [1.5, 'x"y', null], b: new Date(0), c: true };
    expect(textOf(serde, value)).toBe('{"a":[1.5,"x\\"y",null],"b":00:00:00.000Z,"c":true}');
    expect(() => serializeToBytes(serde, Symbol('x'))).toThrow(/no form as text/);
  });
});
