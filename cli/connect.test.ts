import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { millrace } from '../test/kit/command.ts';
import { temporaryDirectory } from '../test/kit/temporary-directory.ts';

/** Writes a file of connectors; returns its path. */
function connectorsFile(directory: string, content: unknown, name = 'connect.json'): string {
  const path = join(directory, name);
  writeFileSync(path, JSON.stringify(content));
  return path;
}

test('[CLI-19] connect run moves files by a config, and goes on the next time', () => {
  const directory = temporaryDirectory();
  const input = join(directory, 'in.jsonl');
  writeFileSync(input, '{"id":"a"}\nno json\n{"id":"b"}\n');
  const file = connectorsFile(directory, {
    ...{ name: 'rows', connector: 'file-source', config: { path: input, format: 'jsonl' } },
  });
  const data = ['--data', join(directory, 'data')];
  expect(millrace('.', 'connect', 'run', file, ...data)).toMatchObject({
    ...{ code: 1, err: expect.stringContaining('topic: it is missing') as string },
  });
  connectorsFile(directory, {
    connectors: [
      {
        ...{ name: 'rows', connector: 'file-source' },
        config: { path: input, format: 'lines', topic: 'rows' },
        valueConverter: 'string',
      },
    ],
  });
  const first = millrace('.', 'connect', 'run', file, ...data);
  expect(first).toMatchObject({ code: 0 });
  expect(first.out).toBe('rows: STOPPED, 3 records, 0 skipped, 0 dead letters\n');
  expect(first.err).toContain('rows: RUNNING');
  writeFileSync(input, '{"id":"a"}\nno json\n{"id":"b"}\n{"id":"c"}\n');
  const again = millrace('.', 'connect', 'run', file, '--json', ...data);
  const lines = again.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(lines.at(-1)).toEqual({
    ...{ type: 'summary', name: 'rows', state: 'STOPPED', records: 1 },
    failed: { skipped: 0, deadLettered: 0 },
  });
}, 60_000);

test('[CLI-20] connect validate and plugins run nothing', () => {
  const directory = temporaryDirectory();
  const file = connectorsFile(directory, [
    { name: 'a', connector: 'file-sorce', config: {} },
    { name: 'b', connector: 'file-sink', config: { path: '', format: 'xml', partBytes: 'big' } },
  ]);
  const validate = millrace('.', 'connect', 'validate', file);
  expect(validate).toMatchObject({ code: 1, err: '' });
  expect(validate.out.trim().split('\n')).toEqual([
    expect.stringMatching(/^a: connector: .*; did you mean file-source\? \(line 1, column 14\)$/),
    expect.stringMatching(/^b: config.path: it must be a string that is not empty, not ""/),
    expect.stringMatching(/^b: config.format: it must be "lines" or .*, not "xml"/),
    expect.stringMatching(/^b: config.topic: it is missing/),
    expect.stringMatching(/^b: config.partBytes: it must be an integer/),
    '5 mistakes',
  ]);
  expect(existsSync(join(directory, 'data'))).toBe(false);
  const plugins = millrace('.', 'connect', 'plugins');
  expect(plugins.out).toMatch(/^file-source \(source\): Reads files/m);
  expect(plugins.out).toMatch(/^Cast \(transform\): /m);
  const one = millrace('.', 'connect', 'plugins', 'file-sink');
  expect(one.out).toMatch(/^file-sink \(sink\): .*\n {2}path: a string that is not empty\n/);
  const wrong = millrace('.', 'connect', 'plugins', 'file-sinc');
  expect(wrong).toMatchObject({ code: 1, err: expect.stringContaining('file-sink') as string });
}, 60_000);

test('[CLI-19] connect run loads plugins of your own', () => {
  const directory = temporaryDirectory();
  writeFileSync(
    join(directory, 'plugin.mjs'),
    `export default {
      kind: 'transform', name: 'Shout', doc: 'Shouts.',
      config: { '~standard': { version: 1, vendor: 'own', validate: (value) => ({ value }) } },
      create: () => (record) => ({ ...record, value: record.value.toUpperCase() }),
    };`,
  );
  const input = join(directory, 'in.txt');
  writeFileSync(input, 'one\ntwo\n');
  const out = join(directory, 'out');
  const file = connectorsFile(directory, {
    plugins: ['./plugin.mjs'],
    connectors: [
      {
        ...{ name: 'in', connector: 'file-source', transforms: [{ type: 'Shout' }] },
        config: { path: input, format: 'lines', topic: 'lines' },
        valueConverter: 'string',
      },
    ],
  });
  const data = join(directory, 'data');
  expect(millrace('.', 'connect', 'run', file, '--data', data)).toMatchObject({ code: 0 });
  const dump = millrace('.', 'dump', data, 'lines');
  expect(dump.out).toMatch(/ONE[^]*TWO/);
  expect(existsSync(out)).toBe(false);
  expect(readFileSync(input, 'utf8')).toBe('one\ntwo\n');
}, 60_000);
