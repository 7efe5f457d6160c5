import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  checkCodesAreThrown,
  checkErrorsPage,
  checkPage,
  checkSpec,
  readErrorTable,
  type ErrorTable,
} from './tidy/doc-checks.ts';
import { checkSubjects, newCommits } from './tidy/commits.ts';
import { entryPoints } from './tidy/entry-points.ts';
import { checkOptionDocs } from './tidy/option-checks.ts';
import {
  CHANGING_FIELDS,
  checkRatchet,
  LONG_FILES,
  LONG_TESTS,
  RACES_WITH_FIELDS,
  type Ratchet,
} from './tidy/ratchets.ts';
import { ROOT } from './kit/root.ts';
import { isShipped, isTest, readSources, readText, sourceOf, type Source } from './tidy/source.ts';
import {
  checkBannedCode,
  checkColumns,
  checkErrorClasses,
  checkFileName,
  checkFunctionLength,
  checkIndexFiles,
  checkOpenEnds,
  type SourceCheck,
} from './tidy/source-checks.ts';

const sources = readSources();
const borders = entryPoints().map(({ source }) => source);

/** The interfaces that users see, from the snapshots of the public names. */
const publicTypes = new Set(
  readdirSync(join(ROOT, 'test/api')).flatMap((name) => {
    return [...readText(`test/api/${name}`).matchAll(/^interface (\w+)$/gm)].map(
      ([, type]) => type!,
    );
  }),
);

/** The options follow; one of them has a default. */
const DEFAULTS =
  'const S = 1000;\nexport const A_DEFAULTS = { a: 300 * S } as const satisfies OpenLogOptions;\n' +
  'export interface OpenLogOptions {\n';

/** Each check, and files that it must complain about: a path, and a text that breaks the rule. */
const CHECKS: Record<string, { check: SourceCheck; bad: readonly (readonly [string, string])[] }> =
  {
    'lines have at most 100 columns': {
      check: checkColumns,
      bad: [['core/a.ts', `// ${'x'.repeat(98)}`]],
    },
    'functions have at most 70 lines': {
      check: checkFunctionLength,
      bad: [
        ['core/a.ts', `function f() {\n${'a();\n'.repeat(69)}}`],
        ['core/a.ts', `class A {\n m() {\n${'a();\n'.repeat(69)}}}`],
        ['core/a.ts', `const f = () => {\n${'a();\n'.repeat(69)}};`],
        ['core/a.test.ts', `test('x', () => {\n${'a();\n'.repeat(69)}});`],
      ],
    },
    'banned words have a replacement': {
      check: checkBannedCode,
      bad: [
        ['core/a.ts', 'const now = Date.now();'],
        ['test/a.test.ts', 'const now = Date.now();'],
        ['streams/a.ts', 'const now = new Date();'],
        ['connect/a.ts', 'const now = performance.now();'],
        ['core/a.ts', 'setTimeout(f, 1);'],
        ['job/a.ts', 'setInterval(f, 1);'],
        ['core/a.ts', 'const chance = Math.random();'],
        ['core/a.ts', "console.log('x');"],
        ['core/a.test.ts', "console.error('x');"],
        ['core/a.ts', "throw new Error('x');"],
        ['job/a.ts', "reject(new Error('x'));"],
        ['core/a.ts', 'let a: any;'],
        ['core/a.ts', '// eslint-disable-next-line no-explicit-any\nlet a: any;'],
        ['core/a.ts', 'enum A { B }'],
        ['core/a.ts', 'namespace A { f(); }'],
        ['streams/a.ts', "if (spec.kind === 'window') f();"],
        ['streams/a.ts', "switch (kind) { case 'keyValue': f(); }"],
      ],
    },
    'postponed work names an issue': {
      check: checkOpenEnds,
      bad: [
        ['core/a.ts', '// TODO: later'],
        ['core/a.ts', 'f(); /* FIXME */'],
        ['core/a.ts', '/** Does. TODO(me) */\nfunction f() {}'],
        ['core/a.ts', 'f();\n// XXX'],
      ],
    },
    'file names are kebab-case': {
      check: checkFileName,
      bad: [
        ['core/partitionLog.ts', ''],
        ['core/partition_log.ts', ''],
        ['core/PartitionLog.ts', ''],
        ['core/log.spec.ts', ''],
      ],
    },
    'only the borders of packages are index.ts': {
      check: checkIndexFiles(borders),
      bad: [['core/log/index.ts', '']],
    },
    'options document their defaults': {
      check: checkOptionDocs(publicTypes),
      bad: [
        ['core/a.ts', 'export interface OpenLogOptions {\n/** How long. */ a?: number }'],
        ['core/a.ts', `${DEFAULTS} /** Default 5 s. */ readonly a?: number }`],
        ['core/a.ts', `${DEFAULTS} /** Default 15 min. */ readonly a?: number }`],
        ['core/a.ts', `${DEFAULTS} /** How long. */ readonly a?: number }`],
      ],
    },
    'there are four error classes': {
      check: checkErrorClasses,
      bad: [
        ['core/a.ts', 'class TimeoutError extends Error {}'],
        ['core/a.ts', 'class Late extends LogError {}'],
        ['core/a.ts', 'const a = class extends TypeError {};'],
      ],
    },
  };

/** A check reads every file: seconds on an idle machine. */
const TIMEOUT_MS = 120_000;

describe.each(Object.entries(CHECKS))('%s', (_, { check, bad }) => {
  test(
    'in this project',
    () => {
      expect(sources.flatMap(check)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test.each(bad)('not in %s: %j', (path, text) => {
    expect(check(sourceOf(path, text))).toHaveLength(1);
  });
});

test('the checks accept what is allowed', () => {
  const allowed: readonly (readonly [string, string])[] = [
    ['core/a.ts', `// ${'x'.repeat(97)}`],
    ['core/a.ts', `function f() {\n${'a();\n'.repeat(68)}}`],
    ['core/a.test.ts', `describe('x', () => {\n${"test('y', f);\n".repeat(99)}});`],
    ['core/clock.ts', 'const now = Date.now();'],
    ['bench/a.ts', 'const now = performance.now(); console.log(now);'],
    ['core/a.ts', "const text = 'Date.now() and TODO'; // not Math.random()"],
    ['core/a.ts', '// eslint-disable-next-line no-explicit-any -- inferred from\nlet a: any;'],
    ['core/a.ts', '// TODO #12: later'],
    ['core/log/segment-scan.test.ts', ''],
    ['core/index.ts', ''],
    ['core/a.ts', 'class StreamsError extends Error {}'],
    ['core/a.ts', `${DEFAULTS} /** How long; default 5 min. */ readonly a?: number }`],
    ['core/a.ts', `${DEFAULTS} /** How long. Default 300,000. */ readonly a?: number }`],
    ['core/a.ts', 'export interface OpenLogOptions {\n/** Default: none. */ a?: number }'],
    ['core/a.ts', 'interface InnerOptions { /** Not for users. */ a?: number }'],
  ];
  for (const [path, text] of allowed) {
    const source = sourceOf(path, text);
    expect(Object.values(CHECKS).flatMap(({ check }) => check(source))).toEqual([]);
  }
});

/** Each ratchet, and a text that has more than it allows. */
const RATCHETS: Record<string, { ratchet: Ratchet; bad: readonly (readonly [string, string])[] }> =
  {
    'files have at most 500 lines': {
      ratchet: LONG_FILES,
      bad: [['core/a.ts', 'a();\n'.repeat(501)]],
    },
    'tests have at most 800 lines': {
      ratchet: LONG_TESTS,
      bad: [['core/a.test.ts', 'a();\n'.repeat(801)]],
    },
    'classes have at most 8 changing fields': {
      ratchet: CHANGING_FIELDS,
      bad: [
        ['core/a.ts', 'class A { #a; b; #c; d; e; f; static g; private h; readonly i = 1; j }'],
      ],
    },
    'no race uses a promise in a field': {
      ratchet: RACES_WITH_FIELDS,
      bad: [
        ['core/a.ts', 'await Promise.race([a, this.#end]);'],
        ['core/a.ts', 'await Promise.race([...this.requests, a]);'],
        ['core/a.ts', 'await Promise.any([this.#a.settled, b()]);'],
        ['core/a.ts', 'await Promise.race([this.#a ?? b, c]);'],
      ],
    },
  };

describe.each(Object.entries(RATCHETS))('%s', (_, { ratchet, bad }) => {
  test('in this project, except for the entries, which only go down', () => {
    expect(checkRatchet(ratchet, sources)).toEqual([]);
  });

  test.each(bad)('not in %s: %j', (path, text) => {
    expect(checkRatchet({ ...ratchet, entries: {} }, [sourceOf(path, text)])).toHaveLength(1);
  });
});

test('a ratchet refuses numbers above its entries and far below them', () => {
  const measure = ({ text }: Source): [string, number][] => [['a', Number(text)]];
  const ratchet: Ratchet = { what: 'a', max: 8, slack: 2, measure, entries: { a: 20 } };
  const findings = (count: number) => checkRatchet(ratchet, [sourceOf('a.ts', String(count))]);
  expect([20, 19, 18].flatMap(findings)).toEqual([]);
  expect(findings(21)).toHaveLength(1);
  expect(findings(17)).toEqual([expect.stringContaining('lower the entry')]);
  expect(findings(8)).toEqual([expect.stringContaining('needs no entry')]);
});

describe('the subjects of commits have at most 72 columns', () => {
  test('in the history', (context) => {
    const commits = newCommits();
    context.skip(commits === undefined, 'SKIPPED: git does not know the commits here');
    expect(checkSubjects(commits ?? [])).toEqual([]);
  });

  test('not with more', () => {
    expect(checkSubjects([`abc1234 ${'x'.repeat(72)}`])).toEqual([]);
    expect(checkSubjects([`abc1234 ${'x'.repeat(73)}`])).toHaveLength(1);
  });
});

describe('docs/ERRORS.md lists the codes', () => {
  const tables = readErrorTables();
  const table = readErrorTable(
    'millrace',
    sourceOf(
      'core/errors.ts',
      `export interface LogErrorDetails {
         ABORTED: { operation: string };
         DISK_FULL: { file: string };
       }
       const RETRIABLE: ReadonlySet<Code> = new Set<Code>(['DISK_FULL']);`,
    ),
  );
  const good = [
    '## `millrace`',
    '',
    '### ABORTED',
    '',
    'It ended.',
    '',
    '- **Not done:** nothing.',
    '- **To do:** nothing.',
    '- **Details:** `operation`',
    '',
    '### DISK_FULL',
    '',
    'No room.',
    '',
    '- **Retriable.**',
    '- **Not done:** the write.',
    '- **To do:** make room.',
    '- **Details:** `file`',
    '',
  ].join('\n');

  test('of every package, as in errors.ts', () => {
    expect(tables.map(({ packageName }) => packageName)).toContain('millrace');
    expect(tables[0]?.codes.size).toBeGreaterThan(40);
    expect(checkErrorsPage(readText('docs/ERRORS.md'), tables)).toEqual([]);
  });

  test('and only codes that some code of the package throws', () => {
    const dead = tables.flatMap((each) => {
      const folder = folderOf(each.packageName);
      // Jobs and services have no codes of their own: they throw the log's.
      const folders = folder === 'core' ? [folder, 'job', 'services'] : [folder];
      const isThrower = ({ path }: Source) =>
        folders.some((name) => path.startsWith(`${name}/`)) &&
        isShipped(path) &&
        path !== `${folder}/errors.ts`;
      return checkCodesAreThrown(each, sources.filter(isThrower));
    });
    expect(dead).toEqual([]);
    const half = [sourceOf('core/a.ts', "throw new LogError('ABORTED', m, d);")];
    expect(checkCodesAreThrown(table, half)).toEqual(['millrace: nothing throws DISK_FULL']);
  });

  test('a complete page passes', () => {
    expect(checkErrorsPage(good, [table])).toEqual([]);
  });

  test.each([
    ['a missing code', good.replace('### ABORTED', '### OTHER_THING')],
    ['a code too many', `${good}\n### MADE_UP\n`],
    ['a missing sentence', good.replace('It ended.\n', '')],
    ['no "Not done"', good.replace('- **Not done:** nothing.\n', '')],
    ['no "To do"', good.replace('- **To do:** make room.\n', '')],
    ['another field', good.replace('`file`', '`path`')],
    ['a retriable code not marked as such', good.replace('- **Retriable.**\n', '')],
    [
      'a code wrongly marked retriable',
      good.replace('It ended.\n', 'It ended.\n\n- **Retriable.**'),
    ],
    ['a section without a table', `${good}\n## \`millrace/other\`\n`],
    ['a missing section', ''],
  ])('not %s', (_, page) => {
    expect(checkErrorsPage(page, [table])).not.toEqual([]);
  });
});

describe('docs/SPEC.md and the tests have the same rules', () => {
  const spec = '## LOG\n\n- **[LOG-1]** One.\n- **[LOG-ROLL-2]** Two.\n\n## TXN\n';
  const titles = "test('[LOG-1] [LOG-ROLL-2] both', f);";

  test('in this project', () => {
    const tests = sources.filter(({ path }) => isTest(path));
    expect(checkSpec(readText('docs/SPEC.md'), tests)).toEqual([]);
  });

  test.each([
    ['both in one title', spec, titles],
    ['one each', spec, "describe('[LOG-1] a', f); it.each(rows)(`[LOG-ROLL-2] ${b}`, f);"],
    ['an example in a code block', `${spec}\`\`\`\n- **[LOG-9]** x\n\`\`\`\n`, titles],
    ['a section without rules', spec, titles],
  ])('they may stand as %s', (_, page, text) => {
    expect(checkSpec(page, [sourceOf('core/a.test.ts', text)])).toEqual([]);
  });

  test.each([
    ['a rule without a test', spec, "test('[LOG-1] a', f);"],
    ['a rule whose test is skipped', spec, "test('[LOG-1] a', f); test.skip('[LOG-ROLL-2] b', f);"],
    ['an id that is no rule', spec, `${titles} test('[LOG-3] c', f);`],
    ['a rule in the wrong section', `${spec}- **[LOG-3]** x\n`, `${titles} test('[LOG-3] c', f);`],
    ['a rule given twice', spec.replace('ROLL-2', '1'), "test('[LOG-1] a', f);"],
    ['an id of another form', spec.replace('LOG-1', 'log-1'), "test('[LOG-ROLL-2] a', f);"],
  ])('not %s', (_, page, text) => {
    expect(checkSpec(page, [sourceOf('core/a.test.ts', text)])).toHaveLength(1);
  });
});

describe('the pages name only what exists', () => {
  const tree = {
    exists: (path: string) => ['core', 'core/log.ts', 'docs/SPEC.md'].includes(path),
    source: (path: string) =>
      sourceOf(
        path,
        `class Log { append() {} #roll() {} } function open() {}
         const fs = { sync() {} }; interface Api { fetch(): void }`,
      ),
  };

  const pages = [
    ...['.', 'docs', 'docs/decisions', 'docs/internals'].flatMap((folder) =>
      readdirSync(join(ROOT, folder))
        .filter((name) => name.endsWith('.md'))
        .map((name) => join(folder, name)),
    ),
  ];
  test.each(pages)('%s', (name) => {
    const exists = (path: string) => existsSync(join(ROOT, path));
    const source = (path: string) => sourceOf(path, readText(path));
    expect(checkPage(name, readText(name), { exists, source })).toEqual([]);
  });

  test('a page that names only what exists passes', () => {
    const page =
      'In `core/log.ts` [`Log.append`](../core/log.ts) calls ' +
      '[`Log.#roll`](../core/log.ts#L3); see ' +
      '[`open`](../core/log.ts), [`fs.sync`](../core/log.ts), [`Api.fetch`](../core/log.ts), ' +
      '[the rules](SPEC.md#LOG), [elsewhere](https://example.org/a) and `<topic>-0/x.log`.';
    expect(checkPage('docs/A.md', page, tree)).toEqual([]);
  });

  test.each([
    'A path `core/gone.ts`.',
    'A folder `streams/state/`.',
    'A link to [a page](GONE.md).',
    'A link to [code](../core/gone.ts).',
    'A method [`Log.sync`](../core/log.ts).',
    'A function [`close`](../core/log.ts).',
    'A member of the wrong thing [`Log.fetch`](../core/log.ts).',
  ])('%s', (page) => {
    expect(checkPage('docs/A.md', page, tree)).toHaveLength(1);
  });
});

/** The code tables of the packages that have one. */
function readErrorTables(): ErrorTable[] {
  return ['millrace', 'millrace/streams', 'millrace/connect'].flatMap((packageName) => {
    const source = sources.find(({ path }) => path === `${folderOf(packageName)}/errors.ts`);
    return source === undefined ? [] : [readErrorTable(packageName, source)];
  });
}

function folderOf(packageName: string): string {
  return packageName === 'millrace' ? 'core' : packageName.slice('millrace/'.length);
}
