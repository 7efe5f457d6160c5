import { expect, test } from 'vitest';
import { parseConfigDocument } from '../../connect/index.ts';
import { issuesOf, jobContent, jobOf } from '../../test/kit/job-file.ts';
import { jobTopologies } from '../topologies.ts';

/** The mistakes of a job with these steps: paths, and what is wrong. */
async function stepIssues(...steps: readonly unknown[]): Promise<string[]> {
  const issues = await issuesOf(jobContent(steps));
  return issues.map(
    ({ field, problem }) => `${field.replace('topology.0.steps.', '')}: ${problem}`,
  );
}

test('[JOB-YAML-2] five mistakes are told at once, with their lines', async () => {
  const text = `name: job
sources:
  - name: in
    connector: file-sorce
    config: { path: in.csv, topic: in }
topology:
  - from: in
    steps:
      - filtr: { field: a, equals: 1 }
      - aggregate:
          by: a..b
          fields: { total: { sun: price } }
    to: out
sinks:
  - name: out
    connector: file-sink
    config:
      path: out
      format: xml
      topic: out
`;
  const document = await parseConfigDocument('job.yaml', text);
  const issues = document.located(await issuesOf(document.content));
  expect(issues.map(({ problem }) => problem)).toEqual([
    expect.stringMatching(/^line 4, column 5: sources.0.connector: .*did you mean file-source\?$/),
    expect.stringMatching(/^line 9, column 9: topology.0.steps.0.filtr: .*did you mean filter\?$/),
    expect.stringMatching(/^line 11, column 11: topology.0.steps.1.aggregate.by: it must be the p/),
    expect.stringMatching(
      /^line 12, column 21: topology.0.steps.1.aggregate.fields.total: it must be count, or one of/,
    ),
    expect.stringMatching(/^line 19, column 7: sinks.0.config.format: it must be "lines" or/),
  ]);
  const { message, code } = document.invalid(await issuesOf(document.content));
  expect(code).toBe('INVALID_CONFIG');
  expect(message).toMatch(/^job.yaml has 5 mistakes:\n {2}line 4, column 5: /);
});

test('[JOB-YAML-2] mistakes in steps', async () => {
  expect(await stepIssues('filter', { key: 'a', select: ['b'] }, {})).toEqual([
    expect.stringMatching(/^topology.0.steps: it must be a list of objects/),
    expect.stringMatching(/^0: it must be an object with one step, such as { key: id }/),
    expect.stringMatching(/^1.select: it must be an object with one step/),
    expect.stringMatching(/^2: it must be an object with one step/),
  ]);
  expect(
    await stepIssues({ filter: { field: 'a' } }, { filter: { field: 'a', equal: 1 } }),
  ).toEqual([
    '0.filter: it compares with nothing; there are equals, notEquals, in, greaterThan, atLeast, ' +
      'lessThan, atMost, matches, exists',
    '1.filter.equal: there is no such field; did you mean equals?',
  ]);
  expect(
    await stepIssues(
      { filter: [{ field: 'a', matches: '(' }] },
      { filter: { any: 'all' } },
      { select: ['a.id', 'b.id'] },
      { rename: ['a'] },
      { key: '@offset' },
    ),
  ).toEqual([
    expect.stringMatching(/^0.filter.0.matches: Invalid regular expression/),
    '1.filter.any: it must be a list, not "all"',
    expect.stringMatching(/^2.select.fields: it must be a list of paths whose last names differ/),
    expect.stringMatching(
      /^3.rename.names: it must be an object of old names with a new name each/,
    ),
    expect.stringMatching(/^4.key.path: it must be the path of a field, such as user.id, or @key/),
  ]);
  expect(
    await stepIssues(
      { count: { window: { size: '1 hour' } } },
      { count: { window: { session: '1m', advance: '1s' }, emit: 'each', store: 'b' } },
      { count: { emit: 'final', store: 'c' } },
      { aggregate: { fields: {}, store: 'd' } },
      { aggregate: { fields: { a: { sum: 'n', max: 'n' }, b: 'counts' }, store: 'e' } },
      { count: { window: { size: '1m', advance: '2m' }, store: 'f' } },
    ),
  ).toEqual([
    '0.count.window.size: it must be a duration such as 250ms, 90s, 5m, 1h or 2d, not "1 hour"',
    '1.count.window.advance: sessions have none',
    '1.count.emit: it must be final for sessions',
    '2.count.emit: it must be commit or each without a window',
    '3.aggregate.fields: it has no fields, such as { flights: count }',
    expect.stringMatching(/^4.aggregate.fields.a: it must be count, or one of sum, avg, min, max/),
    expect.stringMatching(/^4.aggregate.fields.b: .* not "counts"$/),
    '5.count.window.advance: it is longer than the size',
  ]);
  expect(
    await stepIssues(
      { join: { table: 'row', on: 'a' } },
      { join: { table: 'rows', as: 'b', fields: ['c'] } },
      { dedupe: { within: '1h' } },
      { dedupe: { within: '0s' } },
      { dedupe: { within: '1h' } },
    ),
  ).toEqual([
    '0.join.table: there is no topic "row"; did you mean rows?',
    '1.join.as: it must be left out with fields',
    expect.stringMatching(/^3.dedupe.within: it must be a duration/),
    '4: another step keeps what it needs in "out-dedupe", too; give it a store',
  ]);
});

/** A job without steps, changed. */
function changed(change: object): object {
  return { ...jobContent([]), ...change };
}

test('[JOB-YAML-2] mistakes in the parts of a job', async () => {
  const of = async (change: object): Promise<string[]> => {
    const issues = await issuesOf(changed(change));
    return issues.map(({ field, problem }) => `${field}: ${problem}`);
  };
  const sink = { name: 'out-sink', connector: 'file-sink' };
  const config = { path: 'out', format: 'jsonl', topic: 'out' };
  expect(await of({ sink: [] })).toEqual(['sink: there is no such field; did you mean sinks?']);
  expect(await of({ name: 'a job' })).toEqual([
    expect.stringMatching(/^name: .*name must be a name/),
  ]);
  expect(
    await of({ sinks: [{ ...sink, connector: 'file-source', config: { ...config } }] }),
  ).toEqual(['sinks.0.connector: file-source is a source, and belongs to the sources']);
  expect(await of({ sinks: [1, 2].map(() => ({ ...sink, config })) })).toEqual([
    'sinks.1.name: another one of the sinks is called "out-sink"',
  ]);
  expect(await of({ sinks: [{ ...sink, config: { ...config, topic: 'outs' } }] })).toEqual([
    'topology.0.to: there is no topic "out"; did you mean outs?',
  ]);
  expect(
    await of({
      sinks: [{ ...sink, config: { ...config, topic: 'rows' }, valueConverter: 'string' }],
    }),
  ).toEqual([
    'sinks.0.valueConverter: topic rows has values of json elsewhere, and of string here',
    'topology.0.to: there is no topic "out"; did you mean in?',
  ]);
  expect(await of({ errors: { tolerance: 'some' }, retries: { min: 1 } })).toEqual([
    expect.stringMatching(/^errors: .*tolerance must be "none" or "all"/),
    expect.stringMatching(/^retries: .*no option min/),
  ]);
  expect(await of({ topology: [{ from: 'in' }, { from: 'in', to: 'out', name: 'rows' }] })).toEqual(
    [
      expect.stringMatching(/^topology.1.name: its name is "rows", as topic rows; give it another/),
      'topology.0: its records go nowhere: it needs to, or a pipeline below that reads it',
    ],
  );
  expect(await of({ topology: [] })).toEqual(['topology: it has no pipeline']);
  expect(await of({ topologies: { a: [{ from: 'in', to: 'out' }] } })).toEqual([
    'topologies: it must be left out if there is a topology',
  ]);
  expect(await of({ schedule: { cron: '0 * * * *', zone: 'UTC' } })).toEqual([
    expect.stringMatching(/^schedule: .*no option zone/),
  ]);
  expect(await issuesOf('job')).toEqual([
    { field: '', problem: expect.stringMatching(/^it must be an object/) as string },
  ]);
});

test('[JOB-YAML-2] steps need values with fields, and make keys of text', async () => {
  const steps = [{ count: {} }];
  const content = jobContent(steps) as { sources: object[]; sinks: object[] };
  const lines = { path: 'in.txt', format: 'lines', topic: 'in' };
  const source = {
    name: 'in-source',
    connector: 'file-source',
    config: lines,
    valueConverter: 'string',
  };
  const sinkConfig = { path: 'out', format: 'jsonl', topic: 'out' };
  const sink = { name: 'out', connector: 'file-sink', config: sinkConfig, keyConverter: 'long' };
  const issues = await issuesOf({ ...content, sources: [source], sinks: [sink] });
  expect(issues.map(({ field }) => field)).toEqual(['topology.0.from', 'topology.0.to']);
  expect(issues[0]?.problem).toBe(
    'topic in has values of string, and steps need values with fields',
  );
});

test('[JOB-YAML-1] errors, retries and commit intervals are for all parts', async () => {
  const shared = {
    errors: { tolerance: 'all', deadLetter: 'bad' },
    ...{ retries: { max: 3 }, commitIntervalMs: 50 },
  };
  const job = await jobOf({ ...changed({ topologies: undefined }), ...shared });
  expect(job.sources).toMatchObject([shared, shared]);
  expect(job.sinks).toMatchObject([shared]);
  expect(job.streams).toEqual({
    ...{ commitIntervalMs: 50, deadLetterTopic: 'bad', onDeserializationError: 'deadLetter' },
    ...{ onProcessingError: 'deadLetter', onProductionError: 'deadLetter' },
  });
});

test('[JOB-YAML-1] several topologies, pipelines that read each other, and a copy', async () => {
  const two = {
    topics: ['between'],
    topologies: {
      first: [
        { name: 'all', from: ['in', 'rows'] },
        { from: 'all', steps: [{ key: 'id' }], to: 'between' },
      ],
      second: [{ from: 'between', steps: [{ count: {} }], to: 'out' }],
    },
  };
  const job = await jobOf({ ...jobContent([]), topology: undefined, ...two });
  expect(jobTopologies(job).map(({ applicationId }) => applicationId)).toEqual([
    'job.first',
    'job.second',
  ]);
  const sinks = [
    {
      ...{ name: 'copy', connector: 'file-sink' },
      config: { path: 'out', format: 'jsonl', topic: 'in' },
    },
  ];
  const copy = await jobOf({ ...jobContent([]), topology: undefined, sinks, keepTopics: true });
  expect(copy).toMatchObject({ keepTopics: true });
  expect(jobTopologies(copy)).toEqual([]);
});
