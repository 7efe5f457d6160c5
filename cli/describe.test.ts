import { expect, test } from 'vitest';
import { millrace } from '../test/kit/command.ts';
import { prepare } from '../test/kit/copy-job.ts';

test('[CLI-13] describe prints the topology of a job in each format', () => {
  const directory = prepare();
  const print = (...args: readonly string[]) => {
    const { code, out, err } = millrace(directory, 'describe', 'job.ts', ...args);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    return out;
  };
  expect(print()).toContain('Source: source-rows (topics: [rows])');
  expect(print('--format', 'mermaid')).toMatch(/^flowchart TD\n/);
  expect(print('--format', 'dot')).toMatch(/^digraph topology \{\n/);
  const [key, value] = ['string', 'json'].map((name) => ({ name, reads: [] }));
  const serdes = { key, value };
  const described = JSON.parse(print('--format', 'json')) as { readonly topics: unknown };
  expect(described.topics).toEqual([
    { name: 'rows', isInternal: false, partitions: 2, ...serdes },
    { name: 'copy', isInternal: false, ...serdes },
  ]);
  expect(millrace(directory, 'describe', 'job.ts', '--format', 'svg').code).toBe(2);
  const missing = millrace(directory, 'describe', 'nope.ts');
  expect(missing.code).toBe(1);
  expect(missing.err).toContain('nope.ts cannot be used: there is no such file');
});
