import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { millrace } from '../test/kit/command.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

const SOURCE = `sources:
  - name: in
    connector: file-source
    config: { path: in.txt, format: lines, topic: lines }
    valueConverter: string
`;
const SINK = `sinks:
  - name: out
    connector: file-sink
    config: { topic: lines, path: out, format: lines }
    valueConverter: string
`;

/** Writes a file into a new directory, with some input; returns the directory. */
function prepare(text: string, name = 'job.yaml'): string {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, name), text);
  writeFileSync(join(directory, 'in.txt'), 'one\ntwo\n');
  return directory;
}

test('[JOB-YAML-1] run, --check and describe take YAML and JSON', () => {
  const directory = prepare(`name: copy\n${SOURCE}${SINK}`);
  const check = millrace(directory, 'run', 'job.yaml', '--check');
  expect(check).toMatchObject({ code: 0, err: '' });
  expect(check.out).toBe(
    'Job copy copies, without a topology:\n   Source: in (topics: [lines])\n' +
      '   Sink: out (topics: [lines])\nOK\n',
  );
  expect(existsSync(join(directory, 'data'))).toBe(false);
  const mermaid = millrace(directory, 'describe', 'job.yaml', '--format', 'mermaid');
  expect(mermaid.out).toBe(
    'flowchart TD\n  n0["source in"] --> n1["topic lines"]\n' +
      '  n1["topic lines"] --> n2["sink out"]\n',
  );
  expect(millrace(directory, 'run', 'job.yaml')).toMatchObject({
    ...{ code: 0, out: expect.stringContaining('2 records in, 2 out') as string },
  });
  const connector = {
    connector: 'file-source',
    config: { path: 'in.txt', format: 'lines', topic: 'x' },
  };
  const content = { name: 'load', sources: [{ name: 'in', ...connector }] };
  writeFileSync(join(directory, 'job.json'), JSON.stringify(content));
  expect(millrace(directory, 'run', 'job.json', '--data', 'other')).toMatchObject({ code: 0 });
});

test('[JOB-YAML-1] describe and --check print several topologies by name', () => {
  const topologies = `topics: [numbers]
topologies:
  a: [{ from: rows, to: numbers }]
  b: [{ from: numbers, steps: [{ count: {} }], to: out }]
`;
  const text = `name: two\n${SOURCE}${SINK}${topologies}`
    .replaceAll('lines', 'jsonl')
    .replaceAll('topic: jsonl, path', 'topic: out, path')
    .replaceAll('topic: jsonl', 'topic: rows')
    .replaceAll(/ +valueConverter: string\n/g, '');
  const directory = prepare(text);
  const all = millrace(directory, 'describe', 'job.yaml');
  expect(all).toMatchObject({ code: 0, err: '' });
  expect(all.out).toMatch(/^a \(application two.a\)\n[^]*\nb \(application two.b\)\n/);
  const json = millrace(directory, 'describe', 'job.yaml', '--format', 'json');
  expect(Object.keys(JSON.parse(json.out) as object)).toEqual(['a', 'b']);
  const one = millrace(directory, 'describe', 'job.yaml', '--topology', 'b', '--format', 'dot');
  expect(one.out).toMatch(/^digraph topology \{\n[^]*numbers/);
  const drawn = millrace(directory, 'describe', 'job.yaml', '--format', 'dot');
  expect(drawn).toMatchObject({
    code: 1,
    err: expect.stringContaining('must be a or b') as string,
  });
});

test('[JOB-YAML-2] a file with mistakes runs nothing, and is told with places', () => {
  const text = `name: copy\n${SOURCE}${SINK}`
    .replace('file-sink', 'file-sinc')
    .replace('format: lines, topic: lines }', 'format: line, topic: lines }')
    .replace('name: copy', 'name: copy\nsourcs: []');
  const directory = prepare(text);
  for (const flags of [['--check'], []]) {
    const { code, out, err } = millrace(directory, 'run', 'job.yaml', ...flags);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err.split('\n')).toEqual([
      'millrace: job.yaml has 3 mistakes:',
      '  line 2, column 1: sourcs: there is no such field; did you mean sources?',
      expect.stringMatching(/^ {2}line 6, column \d+: sources.0.config.format: .*, not "line"$/),
      expect.stringMatching(
        /^ {2}line 10, column 5: sinks.0.connector: .*did you mean file-sink\? \(/,
      ),
      '',
    ]);
  }
  expect(existsSync(join(directory, 'data'))).toBe(false);
  writeFileSync(join(directory, 'job.yaml'), 'name: [a\n');
  const torn = millrace(directory, 'run', 'job.yaml', '--json');
  expect(torn.code).toBe(1);
  expect(JSON.parse(torn.out)).toMatchObject({ type: 'error', code: 'INVALID_CONFIG' });
});

test('[JOB-YAML-1] connect run and validate take YAML, and tell the places of mistakes', () => {
  const directory = prepare(
    'connectors:\n  - name: in\n    connector: file-source\n    config:\n      path: in.txt\n' +
      '      format: lines\n      topic: lines\n',
    'connect.yaml',
  );
  const run = millrace(directory, 'connect', 'run', 'connect.yaml');
  expect(run).toMatchObject({
    code: 0,
    out: expect.stringContaining('in: STOPPED, 2 rec') as string,
  });
  writeFileSync(
    join(directory, 'bad.yaml'),
    '- name: in\n  connector: file-source\n  config:\n    path: in.txt\n    format: line\n',
  );
  const validate = millrace(directory, 'connect', 'validate', 'bad.yaml');
  expect(validate.code).toBe(1);
  expect(validate.out).toMatch(/^in: config.format: .*, not "line" \(line 5, column 5\)$/m);
  expect(validate.out).toMatch(/^in: config.topic: it is missing.* \(line 3, column 3\)$/m);
  const failed = millrace(directory, 'connect', 'run', 'bad.yaml', '--data', 'other');
  expect(failed).toMatchObject({ code: 1, out: '' });
  expect(failed.err).toMatch(
    /^millrace: bad.yaml has 2 mistakes:\n {2}line 3, column 3: 0.config.t/,
  );
  expect(existsSync(join(directory, 'other'))).toBe(false);
});

test('[JOB-YAML-1] plugins of your own, and two jobs of one name on one directory', () => {
  const plugin = `export default {
    kind: 'transform', name: 'Shout', doc: 'Shouts.',
    config: { '~standard': { version: 1, vendor: 'own', validate: (value) => ({ value }) } },
    create: () => (record) => ({ ...record, value: record.value.toUpperCase() }),
  };`;
  const source = SOURCE.replace(
    'valueConverter',
    'transforms: [{ type: Shout }]\n    valueConverter',
  );
  const directory = prepare(`name: shout\nplugins: [./plugin.mjs]\n${source}${SINK}`);
  writeFileSync(join(directory, 'plugin.mjs'), plugin);
  expect(millrace(directory, 'run', 'job.yaml', '--quiet')).toMatchObject({ code: 0 });
  const dump = millrace(directory, 'sink', 'verify', 'out');
  expect(dump.code).toBe(0);
  // Another job of that name, with connectors of the same names: the output is not its own.
  const other = `name: shout\n${SOURCE}${SINK}`.replaceAll('topic: lines', 'topic: others');
  writeFileSync(join(directory, 'other.yaml'), other);
  const refused = millrace(directory, 'run', 'other.yaml', '--quiet');
  expect(refused).toMatchObject({
    code: 1,
    err: expect.stringContaining('OUTPUT_MISMATCH') as string,
  });
});
