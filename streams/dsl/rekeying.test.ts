import { describe, expect, test } from 'vitest';
import { int64, string, topic } from '../../core/index.ts';
import { codeOf } from '../../test/kit/codes.ts';
import { numbers, sums } from '../../test/kit/drive.ts';
import { joinWindow } from '../topology/join-window.ts';
import type { KStream } from './kstream.ts';
import type { RekeyingOptions } from './node-options.ts';
import { StreamsBuilder } from './streams-builder.ts';

const serdes = { key: string(), value: int64() };
const others = topic('others', serdes);
const window = joinWindow({ differenceMs: 5 });

type Numbers = KStream<string, number>;

/** The repartition topics of a topology in which what `build` returns is grouped. */
function repartitions(build: (stream: Numbers, builder: StreamsBuilder) => Numbers): string[] {
  const builder = new StreamsBuilder();
  const stream = builder.stream(numbers, { nullKeys: 'fail' });
  build(stream, builder).groupByKey().count({ store: 'counted' });
  const topics = builder.build().describe().topics;
  return topics.filter(({ isInternal }) => isInternal).map(({ name }) => name);
}

describe('[OP-TOPOLOGY-1] nothing is repartitioned behind', () => {
  test.each<[string, Parameters<typeof repartitions>[0]]>([
    ['filter', (s) => s.filter(() => true).filterNot(() => false)],
    ['mapValues', (s) => s.mapValues((value) => value + 1).flatMapValues((value) => [value])],
    ['mapHeaders, peek', (s) => s.mapHeaders((headers) => headers).peek(() => undefined)],
    ['split', (s) => s.split({ big: ({ value }) => value > 5 }).big],
    ['merge', (s, b) => s.merge(b.stream(others, { nullKeys: 'fail' }))],
    [
      'processValues',
      (s) => s.processValues<number>((c) => ({ process: ({ value }) => c.forward(value) })),
    ],
    ['join with a table', (s, b) => s.join(b.table(others), (left, right) => left + right)],
    [
      'join with a global table',
      (s, b) =>
        s.leftJoin(
          b.globalTable(others),
          ({ key }) => key,
          (left) => left,
        ),
    ],
    [
      'join with a stream',
      (s, b) =>
        s.join(b.stream(others, { nullKeys: 'fail' }), (left, right) => left + right, { window }),
    ],
    ['join with itself', (s) => s.join(s, (left, right) => left + right, { window })],
    ['a table', (s) => s.groupByKey().count().toStream()],
  ])('%s', (_, build) => {
    expect(repartitions(build)).toEqual([]);
  });

  test('but behind a merge if one side has new keys', () => {
    const topics = repartitions((s) => s.merge(s.selectKey(({ key }) => key, { key: string() })));
    expect(topics).toEqual(['counted-repartition']);
  });
});

describe("[OP-TOPOLOGY-2] preserves: 'partition'", () => {
  const preserves = 'partition' as const;

  test.each<[string, (stream: Numbers, options: RekeyingOptions) => Numbers]>([
    ['selectKey', (s, options) => s.selectKey(({ key }) => key, { ...options, key: string() })],
    ['map', (s, options) => s.map(({ key, value }) => ({ key, value }), options)],
    ['flatMap', (s, options) => s.flatMap(({ key, value }) => [{ key, value }], options)],
    [
      'process',
      (s, options) =>
        s.process<string, number>(
          (context) => ({ process: ({ key, value }) => context.forward({ key, value }) }),
          { ...serdes, ...options },
        ),
    ],
  ])('is a promise of %s that saves a repartition topic', (_, build) => {
    expect(repartitions((stream) => build(stream, {}))).toEqual(['counted-repartition']);
    expect(repartitions((stream) => build(stream, { preserves }))).toEqual([]);
    const twice = (s: Numbers) => build(build(s, { preserves }), { preserves });
    expect(repartitions(twice)).toEqual([]);
  });

  test('does not undo a change of keys before it', () => {
    const topics = repartitions((s) =>
      s
        .map(({ key, value }) => ({ key, value }))
        .selectKey(({ key }) => key, { preserves, key: string() }),
    );
    expect(topics).toEqual(['counted-repartition']);
  });

  test('saves the topics of joins and of toTable, too', () => {
    const builder = new StreamsBuilder();
    const kept = builder.stream(numbers).selectKey(({ key }) => key, { preserves });
    kept.join(builder.table(others), (left) => left);
    kept.leftJoin(kept.toTable(), (left) => left);
    kept.join(kept, (left) => left, { window });
    expect(builder.build().subTopologies).toHaveLength(1);
  });

  test('shows in the description', () => {
    const builder = new StreamsBuilder();
    builder.stream(numbers, { name: 'in' }).map((r) => r, { preserves, name: 'kept' });
    const description = builder.build().describe();
    const [source, kept] = description.subTopologies[0]!.nodes;
    expect([source?.preserves, kept?.preserves]).toEqual([undefined, 'partition']);
    const text = 'Processor: kept (map, stores: [], preserves: partition)';
    expect(description.toString()).toContain(text);
    expect(description.toMermaid()).toContain('["kept (map, preserves partition)"]');
    expect(description.toDot()).toContain('"kept (map, preserves partition)"');
  });

  test('has no other value, and is no option of what keeps the key', async () => {
    const stream = () => new StreamsBuilder().stream(numbers);
    // @ts-expect-error there is only one promise
    const invalid = codeOf((async () => stream().map((r) => r, { preserves: 'order' }))());
    expect(await invalid).toBe('INVALID_OPTION');
    // @ts-expect-error values do not move records
    const unknown = codeOf((async () => stream().mapValues((v) => v, { preserves }))());
    expect(await unknown).toBe('UNKNOWN_OPTION');
    // @ts-expect-error groupBy repartitions, or else selectKey promises
    const grouped = codeOf((async () => stream().groupBy(({ key }) => key, { preserves }))());
    expect(await grouped).toBe('UNKNOWN_OPTION');
    // @ts-expect-error a processor of values cannot change the key
    const values = codeOf((async () => stream().processValues(noProcessor, { preserves }))());
    expect(await values).toBe('UNKNOWN_OPTION');
  });

  test('keeps the types of keys and values', () => {
    const stream = new StreamsBuilder().stream(numbers, { nullKeys: 'fail' });
    stream.selectKey(({ value }) => value, { preserves }).filter(({ key }) => key > 5);
    // @ts-expect-error the serde writes no numbers
    stream.selectKey(({ value }) => value, { preserves, key: string() });
    const texts = topic('texts', { key: int64(), value: string() });
    stream.map(({ value }) => ({ key: value, value: 'a' }), { preserves }).to(texts);
    // @ts-expect-error the topic has other keys
    stream.map(({ value }) => ({ key: value, value }), { preserves }).to(sums);
  });
});

const noProcessor = () => ({ process: () => undefined });
