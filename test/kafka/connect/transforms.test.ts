import {
  BUILT_IN_PLUGINS,
  parseConfig,
  PluginRegistry,
  type ConnectRecord,
} from 'millrace/connect';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SEED } from '../../kit/seed.ts';
import { hasFailed, KafkaConnect } from './oracle.ts';
import { DIFFERENCES } from './transform-differences.ts';

let kafka: KafkaConnect;
beforeAll(() => {
  kafka = new KafkaConnect();
});
afterAll(() => kafka.close());

const plugins = new PluginRegistry(BUILT_IN_PLUGINS);
const PACKAGE = 'org.apache.kafka.connect.transforms';

/** A record as the oracle takes it. */
interface OracleRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: unknown;
  readonly value: unknown;
  readonly timestampMs: number | null;
  readonly headers: readonly (readonly [string, string | null])[];
}

const plain = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 2 },
    fc.constantFrom(0, 1, -3, 17, 300, 70_000, 1_500_000_000_123, 1.5, -0.25, 1e10),
    fc.constantFrom('', 'x', '17', '1.5', 'true', 'FALSE', 'yes', '2017-07-14 02:40:00', ' 5'),
    fc.boolean(),
    fc.constant(null),
    fc.constant({ $date: 1_500_000_000_123 }),
    fc.array(fc.constantFrom(1, 'a'), { maxLength: 2 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c.d'), tie('any'), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  ),
}));

const fields = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'c.d', 'at'), plain.any, {
  ...{ maxKeys: 4, noNullPrototype: true },
});

const record: fc.Arbitrary<OracleRecord> = fc.record({
  topic: fc.constantFrom('orders', 'orders-eu', 'a.b'),
  partition: fc.nat({ max: 3 }),
  offset: fc.nat({ max: 1_000 }),
  key: fc.oneof(plain.any, fields),
  value: fc.oneof(
    { weight: 6, arbitrary: fields },
    { weight: 1, arbitrary: plain.any },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  timestampMs: fc.constantFrom(null, 0, 1_500_000_000_123, -1),
  headers: fc.array(fc.tuple(fc.constantFrom('h', 'i'), fc.constantFrom('1', 'x', null)), {
    maxLength: 2,
  }),
});

/** Configs with our names; Kafka's are the same with dots. */
const TRANSFORMS: readonly (readonly [name: string, config: Readonly<Record<string, string>>])[] = [
  ['Cast', { spec: 'a:int32' }],
  ['Cast', { spec: 'a:int8,b:string' }],
  ['Cast', { spec: 'a:int64' }],
  ['Cast', { spec: 'a:float64' }],
  ['Cast', { spec: 'a:boolean' }],
  ['Cast', { spec: 'string', target: 'key' }],
  ['DropHeaders', { headers: 'h,j' }],
  ['ExtractField', { field: 'a' }],
  ['ExtractField', { field: 'c.d', fieldSyntaxVersion: 'V1' }],
  ['ExtractField', { field: 'a.b', fieldSyntaxVersion: 'V2' }],
  ['ExtractField', { field: 'a.`c.d`', fieldSyntaxVersion: 'V2' }],
  ['ExtractField', { field: 'a', target: 'key' }],
  ['Filter', {}],
  ['Flatten', {}],
  ['Flatten', { delimiter: '_', target: 'key' }],
  ['HeaderFrom', { fields: 'a,c', headers: 'ha,hc', operation: 'copy' }],
  ['HeaderFrom', { fields: 'a', headers: 'ha', operation: 'move' }],
  ['HoistField', { field: 'all' }],
  ['HoistField', { field: 'all', target: 'key' }],
  [
    'InsertField',
    { topicField: 't', partitionField: 'p!', offsetField: 'o', timestampField: 'at' },
  ],
  ['InsertField', { staticField: 's?', staticValue: 'v', target: 'key' }],
  ['InsertHeader', { header: 'n', valueLiteral: '1.50' }],
  ['InsertHeader', { header: 'n', valueLiteral: 'text, more' }],
  ['InsertHeader', { header: 'n', valueLiteral: '[1, 2]' }],
  ['MaskField', { fields: 'a,c' }],
  ['MaskField', { fields: 'a', replacement: '7' }],
  ['MaskField', { fields: 'a', replacement: 'xxx' }],
  ['RegexRouter', { regex: 'orders(.*)', replacement: 'new$1' }],
  ['RegexRouter', { regex: 'order', replacement: 'x' }],
  ['ReplaceField', { exclude: 'a' }],
  ['ReplaceField', { include: 'a,b', renames: 'a:x,b:y' }],
  ['ReplaceField', { renames: 'a:b', target: 'key' }],
  ['TimestampConverter', { field: 'at', targetType: 'unix', unixPrecision: 'seconds' }],
  ['TimestampConverter', { field: 'at', targetType: 'string', format: 'yyyy-MM-dd HH:mm:ss' }],
  ['TimestampConverter', { field: 'at', targetType: 'Date' }],
  ['TimestampConverter', { field: 'at', targetType: 'Time' }],
  ['TimestampConverter', { field: 'a', targetType: 'Timestamp', format: 'yyyy-MM-dd HH:mm:ss' }],
  ['TimestampConverter', { targetType: 'unix', unixPrecision: 'nanoseconds', target: 'key' }],
  ['TimestampRouter', { timestampFormat: "yyyy-MM'h'HH" }],
  ['TimestampRouter', { topicFormat: '${timestamp}.${topic}' }],
  ['ValueToKey', { fields: 'a,c' }],
];

const TARGETED = new Set([
  ...['Cast', 'ExtractField', 'Flatten', 'HeaderFrom', 'HoistField', 'InsertField', 'MaskField'],
  ...['ReplaceField', 'TimestampConverter'],
]);

const dotted = (name: string): string =>
  name.replaceAll(/[A-Z]/g, (letter) => `.${letter.toLowerCase()}`);

function kafkasConfig(config: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(config).filter(([name]) => name !== 'target');
  return Object.fromEntries(entries.map(([name, value]) => [dotted(name), value]));
}

function ourRecord(given: OracleRecord): ConnectRecord {
  return {
    ...given,
    timestampMs: given.timestampMs ?? undefined,
    key: untagged(given.key),
    value: untagged(given.value),
    headers: given.headers.map(([key, value]) => {
      return { key, value: value === null ? null : Buffer.from(value) };
    }),
  };
}

function untagged(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untagged);
  if (typeof value !== 'object' || value === null) return value;
  const { $date } = value as { readonly $date?: number };
  if ($date !== undefined) return new Date($date);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, untagged(each)]));
}

/** A value as the oracle shows it, but without an order of fields. */
function shown(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value === 'number' || typeof value === 'bigint') return { $number: Number(value) };
  if (value instanceof Date) return { $date: value.getTime() };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (typeof value !== 'object' || value === null) return value ?? null;
  return {
    $map: Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shown(each)])),
  };
}

function shownByKafka(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shownByKafka);
  if (typeof value !== 'object' || value === null) return value;
  const { $number, $map } = value as {
    readonly $number?: string;
    readonly $map?: [string, unknown][];
  };
  if ($number !== undefined) return { $number: Number($number) };
  if ($map === undefined) return value;
  return { $map: Object.fromEntries($map.map(([name, each]) => [name, shownByKafka(each)])) };
}

const FAILED = 'failed';

function ourAnswer(apply: (record: ConnectRecord) => ConnectRecord | null, given: OracleRecord) {
  try {
    const after = apply(ourRecord(given));
    if (after === null) return null;
    const headers = after.headers.map(({ key, value }) => {
      return [key, value === null ? null : Buffer.from(value).toString()];
    });
    return { topic: after.topic, key: shown(after.key), value: shown(after.value), headers };
  } catch {
    return FAILED;
  }
}

function kafkasAnswer(answer: unknown): unknown {
  if (hasFailed(answer)) return FAILED;
  if (answer === null) return null;
  const { key, value, ...rest } = answer as Readonly<Record<string, unknown>>;
  return { ...rest, key: shownByKafka(key), value: shownByKafka(value) };
}

const seen = new Set<string>();

describe(`[CONNECT-KAFKA-1] records behind transforms are Kafka Connect's (seed ${SEED})`, () => {
  test.each(TRANSFORMS)('%s %j', async (name, config) => {
    const plugin = plugins.find(name, 'transform');
    const apply = plugin.create(await parseConfig(name, plugin.config, config));
    const records = fc.sample(record, { seed: SEED, numRuns: 150 });
    const suffix = TARGETED.has(name) ? (config['target'] === 'key' ? '$Key' : '$Value') : '';
    const answers = await kafka.ask({
      ...{ ask: 'transform', class: `${PACKAGE}.${name}${suffix}` },
      ...{ config: kafkasConfig(config), values: records },
    });
    const unexpected = records.flatMap((given, index) => {
      const [ours, kafkas] = [ourAnswer(apply, given), kafkasAnswer(answers[index])];
      const isEqual = isSame(ours, kafkas);
      if (isEqual) return [];
      const rule = DIFFERENCES.find(({ holds }) =>
        holds({ name, config, record: ourRecord(given), ours, kafkas }),
      );
      if (rule !== undefined) seen.add(rule.id);
      return rule === undefined ? [{ given, ours, kafkas }] : [];
    });
    expect(unexpected.slice(0, 2).map((each) => JSON.stringify(each))).toEqual([]);
  });

  test('and each difference that is accepted is one', () => {
    expect([...seen].sort()).toEqual(DIFFERENCES.map(({ id }) => id).sort());
  });
});

function isSame(one: unknown, other: unknown): boolean {
  try {
    expect(one).toEqual(other);
    return true;
  } catch {
    return false;
  }
}

const PREDICATES = [
  ['TopicNameMatches', { pattern: 'orders.*' }],
  ['TopicNameMatches', { pattern: 'order' }],
  ['HasHeaderKey', { name: 'h' }],
  ['RecordIsTombstone', {}],
] as const;

test.each(PREDICATES)(
  `[CONNECT-KAFKA-1] %s %j holds for the same records (seed ${SEED})`,
  async (name, config) => {
    const plugin = plugins.find(name, 'predicate');
    const holds = plugin.create(await parseConfig(name, plugin.config, config));
    const records = fc.sample(record, { seed: SEED, numRuns: 150 });
    const answers = await kafka.ask({
      ...{ ask: 'predicate', class: `${PACKAGE}.predicates.${name}`, config, values: records },
    });
    expect(records.map((given) => holds(ourRecord(given)))).toEqual(answers);
  },
);
