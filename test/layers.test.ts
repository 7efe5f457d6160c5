import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from './kit/root.ts';

/** One import: its folder, its text after `from`, and the rule that it breaks, if any. */
interface Plant {
  readonly from: string;
  readonly imports: string;
  readonly rule?: string;
  /** The extension of the file's name; default `.ts`. */
  readonly suffix?: string;
}

const CORE_LAYERS = ['serde', 'record', 'storage', 'log', 'protocol', 'broker', 'check', 'client'];
const STREAMS_LAYERS = ['topology', 'state', 'operators', 'dsl'];

const VIOLATIONS: readonly Plant[] = [
  // Borders.
  { from: 'streams/dsl', imports: '../../core/log/target.ts', rule: 'front-door' },
  { from: 'connect/file', imports: '../../core/client/target.ts', rule: 'front-door' },
  { from: 'job', imports: '../streams/runtime/target.ts', rule: 'front-door' },
  { from: 'cli', imports: '../job/target.ts', rule: 'front-door' },
  { from: 'core/client', imports: '../index.ts', rule: 'own-front-door' },
  { from: 'core/client', imports: '../internal.ts', rule: 'own-front-door' },
  { from: 'streams/runtime', imports: '../../streams/index.ts', rule: 'own-front-door' },
  { from: 'core/client', imports: '../../streams/index.ts', rule: 'core-imports-only-itself' },
  { from: 'core', imports: '../connect/index.ts', rule: 'core-imports-only-itself' },
  { from: 'streams/dsl', imports: '../../connect/index.ts', rule: 'streams-imports-only-core' },
  { from: 'streams/dsl', imports: '../../job/index.ts', rule: 'streams-imports-only-core' },
  { from: 'connect/file', imports: '../../streams/index.ts', rule: 'connect-imports-only-core' },
  { from: 'connect', imports: '../streams/index.ts', rule: 'connect-imports-only-core' },
  { from: 'job', imports: '../cli/target.ts', rule: 'job-is-below-cli' },
  { from: 'core', imports: '../services/connect/index.ts', rule: 'core-imports-only-itself' },
  { from: 'job', imports: '../services/connect/index.ts', rule: 'job-is-below-cli' },
  { from: 'services/connect', imports: '../../cli/target.ts', rule: 'services-are-below-cli' },
  { from: 'services/connect', imports: './index.ts', rule: 'own-front-door' },
  { from: 'services/connect', imports: '../../connect/file/target.ts', rule: 'front-door' },
  { from: 'services/http', imports: '../../connect/index.ts', rule: 'services-share-http' },
  { from: 'services/http', imports: '../connect/target.ts', rule: 'services-share-http' },
  { from: 'cli', imports: '../examples/target.ts', rule: 'nothing-stands-on-programs' },
  { from: 'bench', imports: '../examples/target.ts', rule: 'nothing-stands-on-programs' },
  { from: 'examples', imports: '../core/index.ts', rule: 'programs-use-the-package-name' },
  { from: 'bench', imports: '../streams/index.ts', rule: 'programs-use-the-package-name' },
  { from: 'bench', imports: '../core/internal.ts', rule: 'programs-use-the-package-name' },
  { from: 'connect/file', imports: 'millrace', rule: 'packages-use-paths' },
  { from: 'cli', imports: 'millrace/job', rule: 'packages-use-paths' },
  { from: 'core/client', imports: '../testing/target.ts', rule: 'core-testing-is-for-tests' },
  // The order inside core and streams: every layer imports every one above it.
  ...upwards('core', ['root', ...CORE_LAYERS]),
  ...['broker', 'check'].map((folder) => ({
    from: 'core/client',
    imports: `../${folder}/target.ts`,
    rule: 'only-open-log-sees-the-broker',
  })),
  ...upwards('streams', ['root', ...STREAMS_LAYERS]),
  ...['topology', 'state', 'operators', 'dsl'].map((folder) => ({
    from: `streams/${folder}`,
    imports: '../runtime/target.ts',
    rule: 'streams-runtime-is-above-topology-and-state',
  })),
  {
    from: 'streams',
    imports: './runtime/target.ts',
    rule: 'streams-runtime-is-above-topology-and-state',
  },
  {
    from: 'streams/runtime',
    imports: '../dsl/target.ts',
    rule: 'streams-runtime-does-not-import-dsl',
  },
  {
    from: 'streams/runtime',
    imports: '../testing/target.ts',
    rule: 'streams-testing-is-for-tests',
  },
  { from: 'job', imports: '../streams/testing/index.ts', rule: 'streams-testing-is-for-tests' },
  // The disk, LMDB, and packages that users do not have installed.
  { from: 'core/log', imports: 'node:fs', rule: 'disk-only-in-storage' },
  { from: 'core', imports: 'fs', rule: 'disk-only-in-storage' },
  { from: 'streams/state', imports: 'node:fs/promises', rule: 'disk-only-in-storage' },
  { from: 'connect/runtime', imports: 'node:fs/promises', rule: 'disk-only-in-storage' },
  { from: 'streams/runtime', imports: 'lmdb', rule: 'lmdb-only-in-state' },
  { from: 'core/log', imports: 'lmdb', rule: 'lmdb-only-in-state' },
  { from: 'core/log', imports: 'vitest', rule: 'shipped-code-needs-no-dev-dependency' },
  { from: 'core/log', imports: '../record/target.test.ts', rule: 'no-import-of-tests' },
  { from: 'core', imports: '../test/kit/target.ts', rule: 'tests-are-for-tests' },
  { from: 'core/log', imports: './target.suite.ts', rule: 'tests-are-for-tests' },
  { from: 'bench', imports: '../test/target.ts', rule: 'tests-are-for-tests' },
  { ...inTest('core/log'), imports: '../../test/target.ts', rule: 'tests-share-the-kit' },
  { ...inTest('streams/dsl'), imports: '../../core/log/target.ts', rule: 'front-door' },
  { ...inTest('core/log'), imports: '../../streams/index.ts', rule: 'core-imports-only-itself' },
  { from: 'core/log', imports: './gone.ts', rule: 'no-unresolvable' },
];

const ALLOWED: readonly Plant[] = [
  ...downwards('core', ['root', ...CORE_LAYERS]).filter(
    ({ from, imports }) => from !== 'core/client' || !/broker|check/.test(imports),
  ),
  ...downwards('streams', ['root', ...STREAMS_LAYERS]),
  { from: 'streams/dsl', imports: '../../core/index.ts' },
  { from: 'streams/dsl', imports: '../../core/internal.ts' },
  { from: 'connect/file', imports: '../../core/index.ts' },
  { from: 'streams/runtime', imports: '../operators/target.ts' },
  { from: 'streams/runtime', imports: '../state/target.ts' },
  { from: 'streams/testing', imports: '../dsl/target.ts' },
  { from: 'streams/testing', imports: '../runtime/target.ts' },
  { from: 'job', imports: '../connect/index.ts' },
  { from: 'job', imports: '../streams/index.ts' },
  { from: 'cli', imports: '../job/index.ts' },
  { from: 'examples', imports: 'millrace/job' },
  { from: 'bench', imports: 'millrace/streams' },
  { from: 'test', imports: '../core/log/target.ts' },
  { from: 'core/storage', imports: 'node:fs' },
  { from: 'connect/file', imports: 'node:fs' },
  { from: 'cli', imports: 'node:fs' },
  { from: 'streams/state', imports: 'lmdb' },
  { from: 'core/log', imports: 'msgpackr' },
  { ...inTest('core/log'), imports: '../../test/kit/target.ts' },
  { ...inTest('core/log'), imports: './target.suite.ts' },
  { ...inTest('core/log'), imports: '../client/target.ts' },
  { ...inTest('streams/operators'), imports: '../runtime/target.ts' },
  { ...inTest('streams/runtime'), imports: '../dsl/target.ts' },
  { ...inTest('core/log'), imports: 'vitest' },
  { ...inTest('streams/state'), imports: 'node:fs' },
];

/**
 * Two files that import each other, the second for a type only or for a value. A circle is reported
 * once, in its first file.
 */
const CIRCLES = [
  { files: ['core/log/circle-a.ts', 'core/log/circle-b.ts'], form: 'type', rule: 'no-circular' },
  {
    files: ['streams/dsl/circle-a.ts', 'streams/dsl/circle-b.ts'],
    form: 'value',
    rule: 'no-circular-dsl',
  },
  { files: ['streams/dsl/types-a.ts', 'streams/dsl/types-b.ts'], form: 'type', rule: undefined },
] as const;

/** TypeScript has imports for types only; they count too. */
const forms = [
  (specifier: string) => `import '${specifier}';\n`,
  (specifier: string) => `import type { T } from '${specifier}';\nexport type U = T;\n`,
];

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-layers-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

test('each rule catches its planted violation and nothing else', () => {
  const expected = plantAll();
  const { violations } = cruise();
  const found = violations.map(({ rule, from }) => `${from}: ${rule.name}`);
  expect(found.sort()).toEqual(expected.sort());
}, 60_000);

test('every rule has a plant', () => {
  const config = createRequire(import.meta.url)(join(ROOT, '.dependency-cruiser.cjs')) as {
    readonly forbidden: readonly { readonly name: string }[];
  };
  const planted = new Set(VIOLATIONS.map(({ rule }) => rule));
  const names = config.forbidden.map(({ name }) => name);
  const circles = CIRCLES.flatMap(({ rule }) => rule ?? []);
  expect(names.filter((name) => !planted.has(name))).toEqual(circles);
});

function inTest(from: string): { readonly from: string; readonly suffix: string } {
  return { from, suffix: '.test.ts' };
}

function upwards(packageName: string, layers: readonly string[]): Plant[] {
  return layers.flatMap((lower, index) =>
    layers.slice(index + 1).map((higher) => ({
      ...edge(packageName, lower, higher),
      rule: `${packageName}-${lower}-is-below-${layers[index + 1] ?? ''}`,
    })),
  );
}

function downwards(packageName: string, layers: readonly string[]): Plant[] {
  return layers.flatMap((higher, index) =>
    layers.slice(0, index).map((lower) => edge(packageName, higher, lower)),
  );
}

function edge(packageName: string, from: string, to: string): Plant {
  const up = from === 'root' ? '.' : '..';
  return {
    from: from === 'root' ? packageName : `${packageName}/${from}`,
    imports: to === 'root' ? `${up}/target.ts` : `${up}/${to}/target.ts`,
  };
}

/** Writes the plants into the directory; returns the expected findings. */
function plantAll(): string[] {
  copyFileSync(join(ROOT, 'package.json'), join(directory, 'package.json'));
  copyFileSync(join(ROOT, 'tsconfig.json'), join(directory, 'tsconfig.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  const borders = [
    'core',
    'streams',
    'streams/testing',
    'connect',
    'connect/testing',
    'job',
    'services/connect',
  ];
  for (const border of borders) write(`${border}/index.ts`, '');
  write('core/internal.ts', '');
  const expected: string[] = [];
  for (const [index, { from, imports, rule, suffix = '.ts' }] of [
    ...VIOLATIONS,
    ...ALLOWED,
  ].entries()) {
    for (const [kind, form] of forms.entries()) {
      const path = `${from}/plant-${index}-${kind}${suffix}`;
      write(path, form(imports));
      if (rule !== undefined) expected.push(`${path}: ${rule}`);
      if (imports.endsWith('/index.ts') || !/^\.[^]*target/.test(imports)) continue;
      write(join(from, imports), 'export type T = string;\n');
    }
  }
  for (const circle of CIRCLES) expected.push(...plantCircle(circle));
  return expected;
}

function plantCircle({ files: [first, second], form, rule }: (typeof CIRCLES)[number]): string[] {
  write(first, `import { b } from './${basename(second)}';\nexport const a = () => b;\n`);
  const back = form === 'type' ? 'import type { a }' : 'import { a }';
  const use = form === 'type' ? 'export const b = 1 as unknown as typeof a' : 'export const b = a';
  write(second, `${back} from './${basename(first)}';\n${use};\n`);
  return rule === undefined ? [] : [`${first}: ${rule}`];
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), text);
}

interface CruiseSummary {
  readonly violations: readonly {
    readonly from: string;
    readonly rule: { readonly name: string };
  }[];
}

/** Runs the checks of `npm run layers` over the planted tree. */
function cruise(): CruiseSummary {
  const program = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const config = join(ROOT, '.dependency-cruiser.cjs');
  const args = [program, '--config', config, '--output-type', 'json', '.'];
  const output = execFileSync(process.execPath, args, { cwd: directory, encoding: 'utf8' });
  return (JSON.parse(output) as { readonly summary: CruiseSummary }).summary;
}
