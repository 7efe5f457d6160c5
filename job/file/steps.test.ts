import { expect, test } from 'vitest';
import { throughSteps } from '../../test/kit/job-file.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Records with the numbers from 1 on, a minute apart. */
function numbers(count: number): (readonly [{ n: number; half: string }, number])[] {
  return Array.from({ length: count }, (_, index) => {
    const half = index % 2 === 0 ? 'odd' : 'even';
    return [{ n: index + 1, half }, index * MINUTE_MS] as const;
  });
}

test.each([
  [{ field: 'n', equals: 2 }, [2]],
  [{ field: 'n', notEquals: 2 }, [1, 3, 4]],
  [{ field: 'n', in: [1, 4, 'x'] }, [1, 4]],
  [{ field: 'n', greaterThan: 3 }, [4]],
  [{ field: 'n', atLeast: 3 }, [3, 4]],
  [{ field: 'n', lessThan: 2 }, [1]],
  [{ field: 'n', atMost: 2 }, [1, 2]],
  [{ field: 'n', atLeast: 2, lessThan: 4 }, [2, 3]],
  [{ field: 'half', matches: '^e' }, [2, 4]],
  [{ field: 'half', greaterThan: 'm' }, [1, 3]],
  [{ field: 'none', exists: false, lessThan: 5 }, []],
  [{ field: 'none', exists: false }, [1, 2, 3, 4]],
  [{ field: '@timestampMs', atLeast: 2 * MINUTE_MS }, [3, 4]],
  [{ field: '@key', equals: 'k' }, [1, 2, 3, 4]],
  [
    [
      { field: 'half', equals: 'odd' },
      { field: 'n', greaterThan: 1 },
    ],
    [3],
  ],
  [
    {
      any: [
        { field: 'n', equals: 1 },
        { field: 'half', equals: 'even' },
      ],
    },
    [1, 2, 4],
  ],
])('[JOB-YAML-4] filter %j', async (filter, expected) => {
  const results = await throughSteps([{ filter }, { select: ['n'] }], numbers(4));
  expect(results).toEqual(expected.map((n) => `k {"n":${n}}`));
});

test('[JOB-YAML-4] select, rename and key', async () => {
  const record = [{ id: 7, user: { id: 'u', name: 'Ann' }, at: 5 }, 9] as const;
  const list = [{ select: ['id', 'user.name', 'none'] }, { rename: { name: 'who' } }];
  expect(await throughSteps(list, [record])).toEqual(['k {"id":7,"who":"Ann","none":null}']);
  const object = { who: 'user', key: '@key', time: '@timestampMs' };
  expect(await throughSteps([{ select: object }], [record])).toEqual([
    'k {"who":{"id":"u","name":"Ann"},"key":"k","time":9}',
  ]);
  const keys = [{ key: 'id' }, { select: ['at'] }];
  expect(await throughSteps(keys, [record, [{ at: 1 }]])).toEqual(['7 {"at":5}', 'null {"at":1}']);
});

test('[JOB-YAML-4] count and aggregate, with and without windows', async () => {
  expect(await throughSteps([{ count: { by: 'half' } }], numbers(3))).toEqual([
    'odd {"half":"odd","count":1}',
    'even {"half":"even","count":1}',
    'odd {"half":"odd","count":2}',
  ]);
  const fields = {
    ...{ c: 'count', s: { sum: 'n' }, least: { min: 'n' } },
    ...{ most: { max: 'n' }, mean: { avg: 'n' }, none: { avg: 'x' } },
  };
  const hourly = { aggregate: { by: 'half', window: { size: '1h' }, fields } };
  const results = await throughSteps([hourly], numbers(62));
  expect(results).toHaveLength(4);
  expect(results).toContain(
    `odd {"half":"odd","windowStartMs":0,"windowEndMs":${HOUR_MS},"c":30,"s":900,"least":1,` +
      '"most":59,"mean":30,"none":null}',
  );
  expect(results).toContain(
    `even {"half":"even","windowStartMs":${HOUR_MS},"windowEndMs":${2 * HOUR_MS},"c":1,"s":62,` +
      '"least":62,"most":62,"mean":62,"none":null}',
  );
});

test('[JOB-YAML-4] hopping windows and sessions', async () => {
  const hopping = { count: { window: { size: '1h', advance: '30m' } } };
  const counts = await throughSteps([hopping], numbers(45));
  expect(counts).toEqual([
    `k {"key":"k","windowStartMs":0,"windowEndMs":${HOUR_MS},"count":45}`,
    `k {"key":"k","windowStartMs":${HOUR_MS / 2},"windowEndMs":${1.5 * HOUR_MS},"count":15}`,
  ]);
  const session = {
    aggregate: { window: { session: '5m', grace: '1h' }, fields: { s: { sum: 'n' } } },
  };
  const times = [0, 8, 4, 60];
  const records = times.map((minute, index) => [{ n: 10 ** index }, minute * MINUTE_MS] as const);
  expect(await throughSteps([session], records)).toEqual([
    `k {"key":"k","windowStartMs":0,"windowEndMs":${8 * MINUTE_MS},"s":111}`,
    `k {"key":"k","windowStartMs":${HOUR_MS},"windowEndMs":${HOUR_MS},"s":1000}`,
  ]);
});

test('[JOB-YAML-4] top, of all, by groups and in windows', async () => {
  const select = { select: { n: 'n', half: 'half' } };
  const all = await throughSteps([select, { top: { n: 2, rank: 'n' } }], numbers(3));
  expect(all.at(-1)).toBe('all {"rows":[{"n":3,"half":"odd"},{"n":2,"half":"even"}]}');
  const least = { top: { n: 1, rank: 'n', first: 'least', by: 'half', window: { size: '1h' } } };
  expect((await throughSteps([least], numbers(3))).sort()).toEqual([
    `even {"half":"even","windowStartMs":0,"windowEndMs":${HOUR_MS},` +
      '"rows":[{"n":2,"half":"even"}]}',
    `odd {"half":"odd","windowStartMs":0,"windowEndMs":${HOUR_MS},"rows":[{"n":1,"half":"odd"}]}`,
  ]);
});

test('[JOB-YAML-4] dedupe by a field', async () => {
  const dedupe = { dedupe: { by: 'half', within: '2m' } };
  expect(await throughSteps([dedupe, { select: ['n'] }], numbers(4))).toEqual([
    'odd {"n":1}',
    'even {"n":2}',
    'odd {"n":3}',
    'even {"n":4}',
  ]);
  const longer = { dedupe: { by: 'half', within: '3m' } };
  expect(await throughSteps([longer, { select: ['n'] }], numbers(4))).toHaveLength(2);
});

test('[JOB-YAML-4] join with a table', async () => {
  const table = { odd: { title: 'Odd', owner: { name: 'Ann' } } };
  const inner = { join: { table: 'rows', on: 'half', fields: ['title', 'owner.name'] } };
  expect(await throughSteps([inner], numbers(2), table)).toEqual([
    'k {"n":1,"half":"odd","title":"Odd","name":"Ann"}',
  ]);
  const left = { join: { table: 'rows', on: 'half', kind: 'left', as: 'row' } };
  expect(await throughSteps([left, { select: ['row.title'] }], numbers(2), table)).toEqual([
    'k {"title":"Odd"}',
    'k {"title":null}',
  ]);
});

test('[JOB-YAML-4] what a step cannot handle is a bad record', async () => {
  const text = [[{ n: '5', half: { a: 1 } }]] as const;
  await expect(
    throughSteps([{ aggregate: { fields: { s: { sum: 'n' } } } }], text),
  ).rejects.toThrow(/n is "5", and not a number; say in the source that it is one/);
  await expect(throughSteps([{ key: 'half' }], text)).rejects.toThrow(/and cannot be a key/);
  const filter = { field: 'n', lessThan: 6 };
  await expect(throughSteps([{ filter }], text)).rejects.toThrow(/n is "5", and not a number/);
});
