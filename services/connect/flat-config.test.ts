import { describe, expect, test } from 'vitest';
import { PluginRegistry, type ConnectorDefinition } from '../../connect/index.ts';
import { REST_PLUGINS } from '../../test/kit/connect-rest.ts';
import { readFlat, toProperties } from './flat-config.ts';

const plugins = new PluginRegistry(REST_PLUGINS);
const read = (config: Readonly<Record<string, string>>) => readFlat('c', config, plugins);
const SOURCE = { 'connector.class': 'file-source', path: 'in.csv', format: 'csv', topic: 't' };

describe('[CONNECT-REST-7] a flat config', () => {
  test('has Kafka Connect’s names for what definitions have', () => {
    const { definition, issues } = read({
      ...SOURCE,
      'tasks.max': '4',
      'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
      'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
      'topic.creation.groups': 'big',
      'topic.creation.big.include': 'big.*,large',
      'topic.creation.big.partitions': '9',
      'topic.creation.default.partitions': '3',
      'topic.creation.default.replication.factor': '1',
      'topic.creation.default.retention.ms': '60000',
      'errors.tolerance': 'all',
      'errors.deadletterqueue.topic.name': 'bad',
      'errors.deadletterqueue.context.headers.enable': 'true',
      'errors.retry.delay.max.ms': '4000',
      'transaction.boundary': 'poll',
      'transaction.boundary.interval.ms': '50',
      'exactly.once.support': 'required',
    });
    expect(issues).toEqual([]);
    expect(definition).toEqual({
      ...{ name: 'c', connector: 'file-source' },
      config: {
        ...{ path: 'in.csv', format: 'csv', topic: 't' },
      },
      ...{
        keyConverter: 'string',
        valueConverter: { type: 'json', config: { schemasEnable: 'true' } },
      },
      topicCreation: {
        default: { partitions: 3, config: { retentionMs: 60000 } },
        groups: { big: { include: ['big.*', 'large'], partitions: 9 } },
      },
      errors: { tolerance: 'all', deadLetter: 'bad' },
      ...{ retries: { backoffMaxMs: 4000 }, transactionBoundary: 'poll', commitIntervalMs: 50 },
    });
    const json = { 'value.converter': 'org.apache.kafka.connect.json.JsonConverter' };
    const bare = read({ ...SOURCE, ...json, 'value.converter.schemas.enable': 'false' });
    expect(bare.definition.valueConverter).toEqual({
      ...{ type: 'json', config: { schemasEnable: 'false' } },
    });
    expect(read({ ...SOURCE, 'value.converter': 'json' }).definition.valueConverter).toBe('json');
    const sink = { 'connector.class': 'file-sink', topics: 't', path: 'out', format: 'jsonl' };
    expect(read(sink).definition.config).toEqual({ topic: 't', path: 'out', format: 'jsonl' });
  });

  test('has nested values as JSON, or part by part', () => {
    const counter = { 'connector.class': 'counter' };
    const json = { ...counter, extra: '{"big":true,"name":";"}' };
    const parts = { ...counter, 'extra.big': 'true', 'extra.name': ';' };
    const both = { ...counter, extra: '{"big":true}', 'extra.name': ';' };
    for (const config of [json, parts, both]) {
      expect(read(config).definition.config['extra']).toEqual({ big: true, name: ';' });
    }
    const text = read({ ...counter, 'extra.a.b': '"1"' });
    expect(text.definition.config['extra']).toEqual({ a: { b: '1' } });
    const options = read({ ...SOURCE, 'format.options.delimiter': '1' });
    expect(options.definition.config['formatOptions']).toEqual({ delimiter: '1' });
    expect(options.keyOf('config.formatOptions.delimiter')).toBe('format.options.delimiter');
    const proto = read({ ...counter, 'extra.__proto__.x': '1' }).definition.config;
    expect(Object.keys(proto['extra'] as object)).toEqual(['__proto__']);
    expect('x' in {}).toBe(false);
  });

  test('has transforms and predicates by their aliases', () => {
    const { definition, issues, keyOf } = read({
      ...SOURCE,
      transforms: 'add, cast',
      'transforms.add.type': 'org.apache.kafka.connect.transforms.InsertField$Key',
      'transforms.add.static.field': 'from',
      'transforms.add.static.value': 'x',
      'transforms.cast.type': 'Cast',
      'transforms.cast.spec': 'a:integer,b:string',
      'transforms.cast.predicate': 'isT',
      'transforms.cast.negate': 'true',
      predicates: 'isT',
      'predicates.isT.type': 'org.apache.kafka.connect.transforms.predicates.TopicNameMatches',
      'predicates.isT.pattern': 't.*',
    });
    expect(issues).toEqual([]);
    expect(definition.transforms).toEqual([
      {
        type: 'InsertField',
        config: { target: 'key', staticField: 'from', staticValue: 'x' },
      },
      {
        type: 'Cast',
        config: { spec: 'a:integer,b:string' },
        predicate: { type: 'TopicNameMatches', config: { pattern: 't.*' }, negate: true },
      },
    ]);
    expect(keyOf('transforms.0.staticField')).toBe('transforms.add.static.field');
    expect(keyOf('transforms.1.spec')).toBe('transforms.cast.spec');
    expect(keyOf('transforms.1')).toBe('transforms.cast.type');
    expect(keyOf('transforms.1.target')).toBe('transforms.cast.target');
    expect(keyOf('transforms.1.predicate.pattern')).toBe('predicates.isT.pattern');
    expect(keyOf('config.nowhere')).toBe('nowhere');
  });

  test.each([
    ['transforms', 'a,a', 'an alias is there twice'],
    ['transforms', 'a', 'it is missing; it must be a transform'],
    ['transforms.x.type', 'Cast', 'transforms has no such alias; there are none'],
    ['producer.override.acks', '1', 'the clients of a connector have no settings of their own'],
    ['topic.creation.big.partitions', '2', 'there is no such group; there are default'],
    ['topic.creation.default.partitions', 'x', 'it must be an integer'],
    ['key.converter.schemas.enable', 'x', 'key.converter is missing'],
    ['offsets.storage.topic', 'mine', 'it must be "connect-offsets", not "mine"'],
    ['errors.retry.timeout', 'x', 'it must be an integer, -1 or more, not "x"'],
  ])('has its own mistakes: %s', (key, value, problem) => {
    const { issues } = read({ ...SOURCE, [key]: value });
    expect(issues.map((issue) => issue.problem).join()).toContain(problem);
  });

  test.each([
    [-1, Number.MAX_SAFE_INTEGER],
    [0, 0],
    [999, 0],
    [1_000, 1],
    [7_000, 3],
    [300_000, 9], // 1 + 2 + 4 + 8 + 16 + 32 s, and then a minute each
  ])('gives a time to try again as a number of tries: %i ms', (timeoutMs, max) => {
    const { definition } = read({ ...SOURCE, 'errors.retry.timeout': String(timeoutMs) });
    expect(definition.retries).toEqual({ max });
  });

  test('says the same as the definition that it is made of', () => {
    const definition: ConnectorDefinition = {
      ...{ name: 'c', connector: 'file-source' },
      config: {
        ...{ path: 'in', format: 'csv', formatOptions: { header: true, columns: ['a', 'b'] } },
        ...{ topic: 't', topicConfig: { retentionMs: 5 }, key: 'a' },
      },
      keyConverter: 'long',
      valueConverter: { type: 'json', config: { schemasEnable: 'true' } },
      topicCreation: {
        default: { partitions: 2, config: { retentionMs: 5 } },
        groups: { big: { include: ['b.*'], exclude: ['bc'], partitions: 3 } },
      },
      transforms: [
        { type: 'Cast', config: { spec: 'a:string', target: 'key' } },
        {
          ...{ type: 'Filter', config: {} },
          predicate: { type: 'TopicNameMatches', config: { pattern: 'x' }, negate: true },
        },
      ],
      errors: { tolerance: 'all', deadLetter: 'bad', max: 3 },
      retries: { max: 2, backoffMs: 5, backoffMaxMs: 10 },
      ...{ commitIntervalMs: 7, commitRecordsMax: 8, transactionBoundary: 'poll' },
    };
    const flat = toProperties(definition);
    expect(Object.values(flat).every((text) => typeof text === 'string')).toBe(true);
    expect(read(flat)).toMatchObject({ definition, issues: [] });
    const letters = { ...definition, errors: { tolerance: 'all', deadLetter: true } } as const;
    expect(toProperties(letters)['errors.deadletterqueue.topic.name']).toBe(
      ...(['connect-c-dead-letters'] as const),
    );
  });
});
