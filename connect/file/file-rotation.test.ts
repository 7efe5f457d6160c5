import {
  appendFileSync,
  copyFileSync,
  linkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { nodeFileSystem, type FileSystem } from '../../core/index.ts';
import {
  followFiles,
  valuesOf,
  type FollowOptions,
  type PolledBatch,
} from '../../test/kit/follow-files.ts';
import { inputFile, readBatches } from '../../test/kit/connect.ts';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { csv } from './csv.ts';
import { lines } from './lines.ts';

/** What happens to the files of a directory, and which lines are read in all. */
interface Rotation {
  readonly title: string;
  /** Of `app.log`, and with `all` of all that begin with that. */
  readonly pattern?: string;
  readonly steps: (directory: string) => readonly (() => void)[];
  readonly expected: readonly string[];
}

/** The disk's clock goes on: by its ticks it could not tell two files of one moment apart. */
const pause = (): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 25);

const text = (...all: readonly string[]): string => all.map((line) => `${line}\n`).join('');
const LONG = Array.from({ length: 60 }, (_, index) => `a long line with the number ${index}`);

const ROTATIONS: readonly Rotation[] = [
  {
    title: 'deleted and made anew at the same size',
    steps: (at) => [
      () => writeFileSync(join(at, 'app.log'), text('a1', 'a2')),
      () => {
        rmSync(join(at, 'app.log'));
        writeFileSync(join(at, 'app.log'), text('b1', 'b2'));
      },
    ],
    expected: ['a1', 'a2', 'b1', 'b2'],
  },
  {
    title: 'deleted and made anew with the same first lines',
    steps: (at) => [
      () => {
        pause();
        writeFileSync(join(at, 'app.log'), text('same'));
      },
      () => {
        pause();
        rmSync(join(at, 'app.log'));
        writeFileSync(join(at, 'app.log'), text('same', 'b2'));
      },
    ],
    expected: ['same', 'same', 'b2'],
  },
  ...(['smaller', 'same size', 'larger'] as const).map((size): Rotation => {
    const second = { smaller: ['b1'], 'same size': ['b1', 'b2'], larger: ['b1', 'b2', 'b3'] }[size];
    return {
      title: `cut and written again, ${size}`,
      steps: (at) => [
        () => writeFileSync(join(at, 'app.log'), text('a1', 'a2')),
        () => {
          truncateSync(join(at, 'app.log'), 0);
          appendFileSync(join(at, 'app.log'), text(...second));
        },
        () => appendFileSync(join(at, 'app.log'), text('later')),
      ],
      expected: ['a1', 'a2', ...second, 'later'],
    };
  }),
  {
    title: 'long files whose ends are the same',
    steps: (at) => [
      () => writeFileSync(join(at, 'app.log'), text('a', ...LONG)),
      () => writeFileSync(join(at, 'app.log'), text('b', ...LONG, 'c')),
    ],
    expected: ['a', ...LONG, 'b', ...LONG, 'c'],
  },
  {
    title: 'renamed, and another one with the same first line takes its name',
    steps: (at) => [
      () => writeFileSync(join(at, 'app.log'), text('first', 'a2')),
      () => {
        appendFileSync(join(at, 'app.log'), text('a3'));
        renameSync(join(at, 'app.log'), join(at, 'app.log.1'));
        writeFileSync(join(at, 'app.log'), text('first'));
      },
      // Its writer has not noticed yet.
      () => appendFileSync(join(at, 'app.log.1'), text('a4')),
      () => appendFileSync(join(at, 'app.log'), text('b2')),
    ],
    expected: ['first', 'a2', 'a3', 'first', 'a4', 'b2'],
  },
  {
    title: 'a chain of renamed files, all of them found by the pattern',
    pattern: 'app.log*',
    steps: (at) => {
      const rotate = (count: number) => (): void => {
        appendFileSync(join(at, 'app.log'), text(`last of ${count}`));
        for (let number = count; number >= 1; number--) {
          const from = number === 1 ? 'app.log' : `app.log.${number - 1}`;
          renameSync(join(at, from), join(at, `app.log.${number}`));
        }
        writeFileSync(join(at, 'app.log'), text(`file ${count}`));
      };
      return [
        () => writeFileSync(join(at, 'app.log'), text('file 0')),
        ...[1, 2, 3].map(rotate),
        () => undefined,
      ];
    },
    expected: ['file 0', 'last of 1', 'file 1', 'last of 2', 'file 2', 'last of 3', 'file 3'],
  },
  {
    title: 'renamed long before the next one is made',
    pattern: 'app.log*',
    steps: (at) => [
      () => writeFileSync(join(at, 'app.log'), text('a1')),
      () => renameSync(join(at, 'app.log'), join(at, 'app.log.1')),
      () => undefined,
      () => writeFileSync(join(at, 'app.log'), text('b1')),
    ],
    expected: ['a1', 'b1'],
  },
  {
    title: 'copied and cut',
    pattern: 'app.log*',
    steps: (at) => [
      () => writeFileSync(join(at, 'app.log'), text('a1', 'a2')),
      () => {
        appendFileSync(join(at, 'app.log'), text('a3'));
        copyFileSync(join(at, 'app.log'), join(at, 'app.log.1'));
        truncateSync(join(at, 'app.log'), 0);
        appendFileSync(join(at, 'app.log'), text('b1'));
      },
      () => appendFileSync(join(at, 'app.log'), text('b2')),
    ],
    expected: ['a1', 'a2', 'a3', 'b1', 'b2'],
  },
  {
    title: 'packed after it was renamed',
    pattern: 'app.log*',
    steps: (at) => [
      () => writeFileSync(join(at, 'app.log'), text('a1', 'a2')),
      () => {
        renameSync(join(at, 'app.log'), join(at, 'app.log.1'));
        writeFileSync(join(at, 'app.log'), text('b1'));
      },
      () => {
        writeFileSync(join(at, 'app.log.1.gz'), gzipSync(text('a1', 'a2')));
        rmSync(join(at, 'app.log.1'));
      },
    ],
    expected: ['a1', 'a2', 'b1'],
  },
  {
    title: 'two files with the same header',
    pattern: '*.log*',
    steps: (at) => [
      () => writeFileSync(join(at, 'app.log'), text('header')),
      () => writeFileSync(join(at, 'b.log'), text('header')),
      () => appendFileSync(join(at, 'b.log'), text('b1')),
    ],
    expected: ['header', 'header', 'b1'],
  },
  {
    title: 'a file with two names, and a link that is moved',
    pattern: '*.log',
    steps: (at) => [
      () => {
        writeFileSync(join(at, 'a.log'), text('a1'));
        linkSync(join(at, 'a.log'), join(at, 'b.log'));
        symlinkSync('a.log', join(at, 'current.log'));
      },
      () => {
        appendFileSync(join(at, 'a.log'), text('a2'));
        writeFileSync(join(at, 'c.log'), text('c1'));
        rmSync(join(at, 'current.log'));
        symlinkSync('c.log', join(at, 'current.log'));
      },
    ],
    expected: ['a1', 'a2', 'c1'],
  },
  {
    title: 'a link by its own name only',
    pattern: 'current',
    steps: (at) => [
      () => {
        writeFileSync(join(at, 'a.log'), text('a1'));
        symlinkSync('a.log', join(at, 'current'));
      },
      () => {
        appendFileSync(join(at, 'a.log'), text('a2'));
        writeFileSync(join(at, 'b.log'), text('b1'));
        rmSync(join(at, 'current'));
        symlinkSync('b.log', join(at, 'current'));
      },
    ],
    expected: ['a1', 'a2', 'b1'],
  },
];

describe.each(ROTATIONS)('$title', ({ pattern = 'app.log', steps, expected }) => {
  const follow = (at: string, more: Partial<FollowOptions> = {}): Promise<PolledBatch[]> =>
    followFiles({ path: join(at, pattern), format: lines(), steps: steps(at), ...more });

  test.each([0, 60_000])(
    '[CONNECT-FOLLOW-7] each line once (clock %i ms ahead)',
    async (aheadMs) => {
      expect(valuesOf(await follow(temporaryDirectory(), { aheadMs }))).toEqual(expected);
    },
  );

  test('[CONNECT-FOLLOW-8] [CONNECT-FOLLOW-9] with a restart between any two steps', async () => {
    const count = steps('').length;
    for (let first = 0; first < count; first++) {
      const at = temporaryDirectory();
      const all = steps(at);
      const before = await follow(at, { steps: all.slice(0, first) });
      for (const step of all.slice(first, first + 1)) step(); // while no run is there
      const after = await follow(at, { steps: all.slice(first + 1), committed: before });
      expect(sorted([...before, ...after])).toEqual([...expected].sort());
    }
  });

  test('[CONNECT-FOLLOW-8] [CONNECT-FOLLOW-10] a crash after any commit', async () => {
    const whole = await follow(temporaryDirectory());
    for (let count = 0; count < whole.length; count++) {
      const at = temporaryDirectory();
      const committed = (await follow(at)).slice(0, count);
      // All files are there now; what was removed in between cannot be read again.
      const after = await follow(at, { steps: [() => undefined], committed });
      const read = sorted([...committed, ...after]);
      if (!hasTwice(expected)) expect([count, read]).toEqual([count, [...new Set(read)]]);
      expect(expected).toEqual(expect.arrayContaining(read));
    }
  });
});

const sorted = (batches: readonly PolledBatch[]): string[] =>
  (valuesOf(batches) as string[]).sort();
const hasTwice = (all: readonly string[]): boolean => new Set(all).size < all.length;

test('[CONNECT-FOLLOW-11] a file shorter than the fingerprint grows beyond it', async () => {
  const path = inputFile('');
  const batches = await followFiles({
    path,
    format: lines(),
    steps: LONG.map((line) => () => appendFileSync(path, `${line}\n`)),
  });
  expect(valuesOf(batches)).toEqual(LONG);
  const resumed = await followFiles({
    path,
    format: lines(),
    committed: batches,
    steps: [() => appendFileSync(path, 'more\n')],
  });
  expect(valuesOf(resumed)).toEqual(['more']);
});

test('[CONNECT-FOLLOW-11] offsets of earlier versions still count', async () => {
  const path = inputFile(text('a', 'b'));
  const [read] = await readBatches(lines(), path);
  appendFileSync(path, text('c'));
  const { position, line, sizeBytes, check } = read!.offset as Record<string, number>;
  const offset = { position: position!, line: line!, sizeBytes: sizeBytes!, check: check! };
  const committed = [{ values: [], partition: { file: path }, offset }];
  const after = await followFiles({ path, format: lines(), committed, steps: [] });
  expect(valuesOf(after)).toEqual(['c']);
});

test('[CONNECT-FOLLOW-11] a copy that was put back with its time is the same file', async () => {
  const path = inputFile(text('a', 'b'));
  utimesSync(path, 1_000_000, 1_000_000);
  const committed = await followFiles({ path, format: lines(), steps: [], aheadMs: 60_000 });
  copyFileSync(path, `${path}.copy`);
  utimesSync(`${path}.copy`, 1_000_000, 1_000_000);
  renameSync(`${path}.copy`, path);
  const after = await followFiles({
    path,
    format: lines(),
    committed,
    steps: [() => appendFileSync(path, text('c'))],
  });
  expect(valuesOf([...committed, ...after])).toEqual(['a', 'b', 'c']);
});

test('[CONNECT-FOLLOW-7] a CSV file that is replaced has its own header', async () => {
  const path = inputFile('a,b\n1,2\n');
  const batches = await followFiles({
    path,
    format: csv(),
    steps: [() => writeFileSync(path, 'b,c\n3,4\n'), () => appendFileSync(path, '5,6\n')],
  });
  expect(valuesOf(batches)).toEqual([
    { a: '1', b: '2' },
    { b: '3', c: '4' },
    { b: '5', c: '6' },
  ]);
});

test.each(['shrinks', 'vanishes'] as const)(
  '[CONNECT-FOLLOW-12] a file that %s while it is read ends there',
  async (what) => {
    const path = inputFile(
      Array.from({ length: 200_000 }, (_, index) => `line ${index}\n`).join(''),
    );
    let reads = 0;
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      async open(name, mode) {
        const file = await nodeFileSystem.open(name, mode);
        const read = file.read.bind(file);
        file.read = (target, position) => {
          if (++reads === 3)
            (what === 'shrinks' ? () => truncateSync(path, 0) : () => rmSync(path))();
          return read(target, position);
        };
        return file;
      },
    };
    const batches = await followFiles({
      ...{ path, format: lines(), fileSystem },
      steps: [() => undefined, () => writeFileSync(path, text('after'))],
    });
    const values = valuesOf(batches) as string[];
    expect(values.at(-1)).toBe('after');
    // What was read before is whole lines, in order; a removed file can be read to its end.
    values.pop();
    expect(values).toEqual(values.map((_, index) => `line ${index}`));
    expect(values.length === 200_000).toBe(what === 'vanishes');
  },
);
