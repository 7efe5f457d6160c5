import fc from 'fast-check';
import { deserializeBytes, serializeToBytes, type Serde } from 'millrace';
import { BUILT_IN_PLUGINS, parseConfig, PluginRegistry } from 'millrace/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SEED } from '../../kit/seed.ts';
import { hasFailed, KafkaConnect } from './oracle.ts';
import { HEADER_TEXTS } from './header-texts.ts';
import { comparable, ours, plain, rounded, schemaOf, typed, type Neutral } from './values.ts';

let kafka: KafkaConnect;
beforeAll(() => {
  kafka = new KafkaConnect();
});
afterAll(() => kafka.close());

const plugins = new PluginRegistry(BUILT_IN_PLUGINS);

async function converter(name: string, config: object = {}): Promise<Serde<unknown>> {
  const plugin = plugins.find(name, 'converter');
  return plugin.create(await parseConfig(name, plugin.config, config));
}

const JSON_CLASS = 'org.apache.kafka.connect.json.JsonConverter';
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

const simple = (name: string) => `org.apache.kafka.connect.converters.${name}Converter`;

describe(`[CONNECT-CONVERTERS-2] bytes of Kafka Connect's converters (seed ${SEED})`, () => {
  test.each<readonly [string, string, string, fc.Arbitrary<unknown>]>([
    ['boolean', simple('Boolean'), 'boolean', fc.boolean()],
    ['short', simple('Short'), 'int16', fc.integer({ min: -0x8000, max: 0x7fff })],
    ['integer', simple('Integer'), 'int32', fc.integer()],
    ['long', simple('Long'), 'int64', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })],
    ['float', simple('Float'), 'float', fc.float({ noNaN: true, noDefaultInfinity: true })],
    ['double', simple('Double'), 'double', fc.double({ noNaN: true, noDefaultInfinity: true })],
  ])('%s', async (name, kafkas, type, values) => {
    const serde = await converter(name);
    const sample = fc.sample(values, { seed: SEED, numRuns: 200 });
    const schema = { type, optional: true };
    const neutral = sample.map((value) => {
      return typeof value === 'boolean' ? value : Object.is(value, -0) ? '-0' : String(value);
    });
    const written = await kafka.ask({ ask: 'write', class: kafkas, schema, values: neutral });
    expect(sample.map((value) => base64(serializeToBytes(serde, value)))).toEqual(written);
    const read = await kafka.ask({ ask: 'read', class: kafkas, values: written });
    const back = written.map((bytes) =>
      deserializeBytes(serde, Buffer.from(String(bytes), 'base64')),
    );
    expect(back).toEqual(read.map((value) => ours(schemaOf(schema), value as Neutral)));
    // A byte too many is refused by both.
    const long = written.map((bytes) => {
      return base64(Buffer.concat([Buffer.from(String(bytes), 'base64'), Buffer.of(0)]));
    });
    const refused = await kafka.ask({ ask: 'read', class: kafkas, values: long });
    expect(refused.every(hasFailed)).toBe(true);
    for (const bytes of long) {
      expect(() => deserializeBytes(serde, Buffer.from(bytes, 'base64'))).toThrow();
    }
  });

  test('string, of text, integers and booleans', async () => {
    const serde = await converter('string');
    const kafkas = 'org.apache.kafka.connect.storage.StringConverter';
    const values = ['', 'a', 'é €𝄞', 17, -3, true, false];
    const written = await kafka.ask({ ask: 'write', class: kafkas, values });
    expect(values.map((value) => base64(serializeToBytes(serde, value)))).toEqual(written);
    const bytes = [...written, base64(Buffer.from([0x61, 0xff, 0x62]))];
    const read = await kafka.ask({ ask: 'read', class: kafkas, values: bytes });
    expect(
      bytes.map((each) => deserializeBytes(serde, Buffer.from(String(each), 'base64'))),
    ).toEqual(read);
  });

  test('json without a schema', async () => {
    const values = fc.sample(plain, { seed: SEED, numRuns: 300 }).filter((each) => each !== null);
    for (const isEnabled of [false, true]) {
      const serde = await converter('json', { schemasEnable: isEnabled });
      const config = { 'schemas.enable': String(isEnabled) };
      const written = await kafka.ask({ ask: 'write', class: JSON_CLASS, config, values });
      const theirs = written.map((each) => Buffer.from(String(each), 'base64').toString());
      expect(values.map((value) => serializeToBytes(serde, value).toString())).toEqual(
        isEnabled ? theirs : theirs.map(unescaped),
      );
      const bytes = values.map((value) => serializeToBytes(serde, value));
      const read = await kafka.ask({
        ask: 'read',
        class: JSON_CLASS,
        config,
        values: bytes.map(base64),
      });
      expect(read.map(plainOf)).toEqual(bytes.map((each) => deserializeBytes(serde, each)));
    }
  });

  test.each(['BASE64', 'NUMERIC'] as const)(
    'json with a schema, decimals as %s',
    async (format) => {
      const config = { 'schemas.enable': 'true', 'decimal.format': format };
      const sample = fc.sample(typed, { seed: SEED, numRuns: 300 });
      for (const { schema, value } of sample) {
        const parsed = schemaOf(schema);
        const serde = await converter('json', {
          schemasEnable: true,
          schema,
          decimalFormat: format,
        });
        const question = { class: JSON_CLASS, config };
        const [written] = await kafka.ask({ ...question, ask: 'write', schema, values: [value] });
        const mine = serializeToBytes(serde, ours(parsed, value));
        const theirs = Buffer.from(String(written), 'base64');
        expect(mine.toString().split(',')).toEqual(theirs.toString().split(','));
        const [read] = await kafka.ask({ ...question, ask: 'read', values: [base64(mine)] });
        expect(rounded(parsed, deserializeBytes(serde, theirs))).toEqual(
          comparable(parsed, read as Neutral),
        );
        const bare = await converter('json', { schema, decimalFormat: format });
        const off = { ...config, 'schemas.enable': 'false' };
        const [payload] = await kafka.ask({
          ...{ ask: 'write', class: JSON_CLASS, config: off, schema, values: [value] },
        });
        expect(base64(serializeToBytes(bare, ours(parsed, value)))).toBe(payload);
      }
    },
  );

  test('json with defaults, documentation and versions in the schema', async () => {
    const field = (more: object) => ({ type: 'int32', optional: true, field: 'n', ...more });
    const schema = {
      ...{ type: 'struct', name: 'r', version: 3, doc: 'A "record"', optional: false },
      fields: [field({ default: 7, doc: 'é', parameters: { a: 'b' } })],
    };
    const cases = [{ n: null }, { n: '5' }];
    for (const replaces of [true, false]) {
      const options = { schemasEnable: true, schema, replaceNullWithDefault: replaces };
      const serde = await converter('json', options);
      const config = { 'replace.null.with.default': String(replaces) };
      const written = await kafka.ask({
        ask: 'write',
        class: JSON_CLASS,
        config,
        schema,
        values: cases,
      });
      const mine = cases.map((each) => serializeToBytes(serde, ours(schemaOf(schema), each)));
      expect(mine.map(String)).toEqual(
        written.map((each) => String(Buffer.from(String(each), 'base64'))),
      );
      const read = await kafka.ask({ ask: 'read', class: JSON_CLASS, config, values: written });
      const back = mine.map((each) => deserializeBytes(serde, each));
      expect(back).toEqual(read.map((each) => ours(schemaOf(schema), each as Neutral)));
    }
  });

  test('json that Kafka Connect refuses is refused', async () => {
    const int = { type: 'int32', optional: false };
    const bad = [
      '{"payload":1}',
      '{"schema":null,"payload":1,"more":2}',
      '{"schema":{"type":"int33"},"payload":1}',
      '{"schema":{},"payload":1}',
      JSON.stringify({ schema: int, payload: null }),
      JSON.stringify({ schema: { type: 'array' }, payload: [] }),
      JSON.stringify({ schema: { type: 'struct' }, payload: {} }),
      JSON.stringify({ schema: { type: 'array', items: int }, payload: [null] }),
      '{"schema"',
    ];
    const values = bad.map((text) => base64(Buffer.from(text)));
    const read = await kafka.ask({ ask: 'read', class: JSON_CLASS, values });
    expect(read.map(hasFailed)).toEqual(bad.map(() => true));
    const serde = await converter('json', { schemasEnable: true });
    for (const text of bad) {
      expect(() => deserializeBytes(serde, Buffer.from(text)), text).toThrow();
    }
  });
});

/** Kafka's converter escapes characters beyond U+FFFF; `json()` of the log does not. */
function unescaped(text: string): string {
  return text.replaceAll(/\\u(D[89AB]..)\\u(D[C-F]..)/g, (_, high: string, low: string) => {
    return String.fromCharCode(parseInt(high, 16), parseInt(low, 16));
  });
}

/** What the oracle has read without a schema. */
function plainOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainOf);
  if (typeof value !== 'object' || value === null) return value;
  const { $number, $date, $bytes, $map } = value as Readonly<Record<string, unknown>>;
  if ($number !== undefined) return Number($number);
  if ($date !== undefined) return new Date($date as number);
  if ($bytes !== undefined) return Buffer.from($bytes as string, 'base64');
  const entries = ($map as [unknown, unknown][]).map((entry) => entry.map(plainOf));
  const isObject = entries.every(([key]) => typeof key === 'string');
  return isObject ? Object.fromEntries(entries as [string, unknown][]) : entries;
}

describe(`[CONNECT-CONVERTERS-3] headers as by SimpleHeaderConverter (seed ${SEED})`, () => {
  test('what text holds', async () => {
    const serde = await converter('simple');
    const alphabet = fc.constantFrom(...'01.:,-+eE"\\[]{} abTZ'.split(''), 'true', 'null', '12');
    const made = fc.sample(fc.array(alphabet, { maxLength: 8 }), { seed: SEED, numRuns: 2_000 });
    const texts = [...HEADER_TEXTS, ...made.map((parts) => parts.join(''))];
    const values = texts.map((text) => base64(Buffer.from(text)));
    const read = await kafka.ask({ ask: 'readHeader', values });
    const different = texts.flatMap((text, index) => {
      const mine = deserializeBytes(serde, Buffer.from(text));
      const theirs = hasFailed(read[index]) ? 'FAILED' : plainOf(read[index]);
      return isSame(mine, theirs) ? [] : [{ text, mine, theirs }];
    });
    expect(different).toEqual([]);
  });

  test('the text of values', async () => {
    const serde = await converter('simple');
    const values = fc.sample(plain, { seed: SEED, numRuns: 500 });
    const times = [0, 1, 86_399_999, 86_400_000, 1_500_000_000_123].map((ms) => ({ $date: ms }));
    const all = [...values, ...times, { $bytes: 'AQID' }, ['a"\\b', { k: ['x'] }]];
    const written = await kafka.ask({ ask: 'writeHeader', values: all });
    const mine = all.map((value) => {
      const made = untagged(value);
      return made === null ? null : base64(serializeToBytes(serde, made));
    });
    expect(mine).toEqual(written);
  });
});

function untagged(value: unknown): unknown {
  const { $date, $bytes } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if ($date !== undefined) return new Date($date as number);
  return $bytes === undefined ? value : Buffer.from($bytes as string, 'base64');
}

/** Numbers are the same if they are one float: Kafka Connect rounds fractions to it. */
function isSame(mine: unknown, theirs: unknown): boolean {
  if (typeof mine === 'bigint') return Number(mine) === theirs;
  if (theirs === Infinity) return typeof mine === 'string'; // with all its digits
  if (typeof mine === 'number' && typeof theirs === 'number') {
    return mine === theirs || Math.fround(mine) === Math.fround(theirs);
  }
  if (mine instanceof Date) return theirs instanceof Date && +mine === +theirs;
  if (typeof mine !== 'object' || mine === null) return mine === theirs;
  if (typeof theirs !== 'object' || theirs === null || theirs instanceof Date) return false;
  const [left, right] = [Object.entries(mine), Object.entries(theirs)];
  if (Array.isArray(mine) !== Array.isArray(theirs) || left.length !== right.length) return false;
  return left.every(([name, each]) =>
    isSame(each, (theirs as Readonly<Record<string, unknown>>)[name]),
  );
}
