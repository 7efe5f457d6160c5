import { join } from 'node:path';
import { expect, test } from 'vitest';
import ts from 'typescript';
import { entryPoints } from './tidy/entry-points.ts';
import { ROOT } from './kit/root.ts';

const points = entryPoints();
const program = openProgram();

/**
 * The public names: the exports of each entry point with the members of each. A change shows up as
 * a diff of the file in test/api/; `npm test -- -u` accepts it, and CHANGELOG.md tells users.
 */
test.each(points)('the public names of $name', async ({ name, source }) => {
  await expect(publicNames(source)).toMatchFileSnapshot(`api/${name.replaceAll('/', '-')}.txt`);
});

test('a name, a member and an alias show', () => {
  expect(publicNames('core/index.ts')).toMatch(/^class LogError\n(.+\n)* {2}code\n/m);
  expect(publicNames('core/index.ts')).toContain('function openLog\n');
});

function openProgram(): ts.Program {
  const config = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT);
  return ts.createProgram(
    points.map(({ source }) => join(ROOT, source)),
    options,
  );
}

/** One line for each export of a file, by name, with the names of its members below it. */
function publicNames(source: string): string {
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(join(ROOT, source));
  const module = file === undefined ? undefined : checker.getSymbolAtLocation(file);
  if (module === undefined)
    throw new TypeError(`package.json exports ${source}, which is no module`);
  const blocks = checker.getExportsOfModule(module).map((symbol) => {
    const target =
      (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
    const members = membersOf(target, checker).map((member) => `  ${member}\n`);
    return `${kindOf(target)} ${symbol.name}\n${members.sort().join('')}`;
  });
  return blocks.sort().join('');
}

const KINDS: readonly (readonly [ts.SymbolFlags, string])[] = [
  [ts.SymbolFlags.Class, 'class'],
  [ts.SymbolFlags.Interface, 'interface'],
  [ts.SymbolFlags.TypeAlias, 'type'],
  [ts.SymbolFlags.Function, 'function'],
  [ts.SymbolFlags.Variable, 'const'],
];

function kindOf({ flags }: ts.Symbol): string {
  return KINDS.find(([flag]) => (flags & flag) !== 0)?.[1] ?? 'other';
}

/** The members of classes and interfaces that users see; those of a class itself as `static`. */
function membersOf(symbol: ts.Symbol, checker: ts.TypeChecker): string[] {
  if ((symbol.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface)) === 0) return [];
  const declared = checker.getDeclaredTypeOfSymbol(symbol).getProperties();
  const own = declared.filter(isOurs).map(({ name }) => shown(name));
  const statics = [...(symbol.exports?.values() ?? [])].filter(isOurs);
  return [...own, ...statics.map(({ name }) => `static ${shown(name)}`)];
}

/** Declared in this project, and not private. */
function isOurs({ declarations = [], name }: ts.Symbol): boolean {
  if (name === 'prototype' || name.startsWith('#')) return false;
  return declarations.some((each) => !each.getSourceFile().fileName.includes('/node_modules/'));
}

/** Returns `Symbol.asyncDispose` for the checker's `__@asyncDispose@12`. */
function shown(name: string): string {
  return name.replace(/^__@(\w+)@\d+$/, '[Symbol.$1]');
}
