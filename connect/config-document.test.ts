import { expect, test } from 'vitest';
import { connectFailure } from '../test/kit/connect.ts';
import { parseConfigDocument } from './config-document.ts';

test('[JOB-YAML-3] a part is found by its path, whatever the file looks like', async () => {
  const text = `# a job
name: job
a.b: { c: [1, { d: 2 }] }
sources:
  - &first
    name: in
    config:
      path: 'x.csv'
  - *first
`;
  const document = await parseConfigDocument('job.yaml', text);
  expect(document.content).toMatchObject({ 'a.b': { c: [1, { d: 2 }] }, name: 'job' });
  const placeOf = (path: string): string => {
    const { line, column } = document.placeOf(path);
    return `${line}:${column}`;
  };
  expect(placeOf('name')).toBe('2:1');
  expect(placeOf('a.b.c.1.d')).toBe('3:17');
  expect(placeOf('sources.0.config.path')).toBe('8:7');
  expect(placeOf('sources.0.config.format')).toBe('7:5'); // where it is missing
  expect(placeOf('sources.1.name')).toBe('6:5'); // where the alias points
  expect(placeOf('nothing.of.it')).toBe('2:1');
  expect(placeOf('')).toBe('2:1');
});

test('[JOB-YAML-3] JSON has places, too', async () => {
  const text = '{\n\t"a": [\n\t\t{ "b": 1 }\n\t]\n}\n';
  const document = await parseConfigDocument('job.json', text);
  expect(document.content).toEqual({ a: [{ b: 1 }] });
  expect(document.placeOf('a.0.b')).toEqual({ line: 3, column: 5 });
  const { message } = await connectFailure(
    parseConfigDocument('job.json', '{\n  "a": 1,\n  b: 2\n}'),
  );
  expect(message).toMatch(/^job.json has a mistake:\n {2}line 3, column 3: it is not JSON: /);
});

test.each([
  ['a: [1, 2\nb: 3\n', /line 2, column 1: /],
  ['a: 1\na: 2\n', /line 2, column 1: .*unique/],
  ['\ta: 1\n', /line 1, column 1: .*[Tt]ab/],
  ['a: 1\n---\nb: 2\n', /multiple documents/],
  ['a: !!js/function "() => 1"\n', /line 1, column 4: .*tag/],
  ['? [a]\n: 1\n', /line 1, column 3: .*string/],
  ['a: *nothing\n', /line 1, column \d: .*[Uu]nresolved alias/],
  [
    'a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n' +
      'c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n',
    /Excessive alias count/,
  ],
])('[JOB-YAML-3] what is more than plain data is refused: %j', async (text, expected) => {
  const { code, message } = await connectFailure(parseConfigDocument('job.yaml', text));
  expect(code).toBe('INVALID_CONFIG');
  expect(message).toMatch(expected);
});

test('[JOB-YAML-3] a name such as __proto__ is a name', async () => {
  const { content } = await parseConfigDocument('job.yaml', '__proto__: { polluted: true }\n');
  expect(Object.keys(content as object)).toEqual(['__proto__']);
  expect(({} as { readonly polluted?: boolean }).polluted).toBeUndefined();
});
