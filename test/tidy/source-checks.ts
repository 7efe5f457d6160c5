import { basename } from 'node:path';
import ts from 'typescript';
import { STORE_KINDS } from '../../streams/state/store-kinds.ts';
import {
  commentsOf,
  finding,
  isShipped,
  isTest,
  nodesOf,
  type Finding,
  type Source,
} from './source.ts';

/** One rule of the style, over one file. */
export type SourceCheck = (source: Source) => Finding[];

const COLUMNS_MAX = 100;
const FUNCTION_LINES_MAX = 70;

/** No line is longer than a screen is wide. */
export const checkColumns: SourceCheck = ({ path, text }) =>
  text.split('\n').flatMap((line, index) => {
    if (line.length <= COLUMNS_MAX) return [];
    return [`${path}:${index + 1}: ${line.length} columns, at most ${COLUMNS_MAX}`];
  });

/** A function fits on a screen, except one that only groups tests. */
export const checkFunctionLength: SourceCheck = (source) => {
  const found: Finding[] = [];
  for (const node of nodesOf(source.tree)) {
    if (!isFunctionWithBody(node)) continue;
    const start = node.getStart(source.tree);
    const lineOf = (position: number) => source.tree.getLineAndCharacterOfPosition(position).line;
    const lines = lineOf(node.end) - lineOf(start) + 1;
    if (lines <= FUNCTION_LINES_MAX || (isTest(source.path) && groupsTests(node))) continue;
    found.push(
      finding(source, start, `a function of ${lines} lines, at most ${FUNCTION_LINES_MAX}`),
    );
  }
  return found;
};

function isFunctionWithBody(node: ts.Node): boolean {
  return ts.isFunctionLike(node) && 'body' in node && node.body !== undefined;
}

function groupsTests(node: ts.Node): boolean {
  for (const inner of nodesOf(node))
    if (inner !== node && titleOf(inner) !== undefined) return true;
  return false;
}

/**
 * The title of a call that declares a test or a group of tests, up to the first `${}`; undefined
 * for any other node, and for skipped tests.
 */
export function titleOf(node: ts.Node): string | undefined {
  if (!ts.isCallExpression(node)) return undefined;
  const callee = node.expression.getText().replace(/\.(each|for|runIf|skipIf)\b[^]*$/, '');
  if (!/^(test|it|describe)(\.(concurrent|sequential|only|fails))*$/.test(callee)) return undefined;
  const [title] = node.arguments;
  if (title === undefined) return undefined;
  if (ts.isStringLiteralLike(title)) return title.text;
  return ts.isTemplateExpression(title) ? title.head.text : undefined;
}

/** A banned construct, its replacement, and the paths where it is allowed. */
interface Ban {
  readonly text: string;
  readonly instead: string;
  readonly matches: (node: ts.Node) => boolean;
  readonly isAllowed: (path: string) => boolean;
}

const everywhereBut =
  (...paths: readonly string[]) =>
  (path: string) =>
    paths.includes(path);
const outsideShipped =
  (...paths: readonly string[]) =>
  (path: string) =>
    !isShipped(path) || paths.includes(path);

const BANS: readonly Ban[] = [
  {
    text: 'Date.now',
    instead: 'a Clock',
    matches: (node) => isMember(node, 'Date', 'now'),
    isAllowed: everywhereBut('core/clock.ts'),
  },
  {
    text: 'new Date()',
    instead: 'a Clock',
    matches: (node) => isNew(node, 'Date') && (node.arguments ?? []).length === 0,
    // The results of a benchmark have a date.
    isAllowed: (path) => path === 'core/clock.ts' || path.startsWith('bench/'),
  },
  {
    text: 'performance.now',
    instead: 'a Clock',
    matches: (node) => isMember(node, 'performance', 'now'),
    isAllowed: outsideShipped('core/clock.ts'),
  },
  {
    text: 'setTimeout, setInterval',
    instead: 'a Clock',
    matches: (node) =>
      ts.isCallExpression(node) &&
      ts.isIdentifier(node.expression) &&
      /^set(Timeout|Interval)$/.test(node.expression.text),
    isAllowed: outsideShipped('core/clock.ts'),
  },
  {
    text: 'Math.random',
    instead: 'a Random',
    matches: (node) => isMember(node, 'Math', 'random'),
    isAllowed: everywhereBut('core/random.ts'),
  },
  {
    text: 'console',
    instead: 'a Logger',
    matches: (node) =>
      ts.isPropertyAccessExpression(node) &&
      ts.isIdentifier(node.expression) &&
      node.expression.text === 'console',
    isAllowed: (path) => /^(cli|examples|bench|test)\//.test(path),
  },
  {
    text: 'new Error',
    instead: 'a coded error of the package, or assert for a bug of ours',
    matches: (node) => isNew(node, 'Error'),
    // A simulated disk fails with Node's errors.
    isAllowed: outsideShipped('core/storage/memory-operations.ts'),
  },
  {
    text: 'any',
    instead: 'unknown (or disable no-explicit-any for the line, with the reason)',
    matches: (node) => node.kind === ts.SyntaxKind.AnyKeyword && !isExplained(node),
    isAllowed: () => false,
  },
  {
    text: 'enum',
    instead: 'a union of strings',
    matches: ts.isEnumDeclaration,
    isAllowed: () => false,
  },
  {
    text: 'namespace',
    instead: 'a module',
    matches: ts.isModuleDeclaration,
    isAllowed: () => false,
  },
  {
    text: 'a comparison with a kind of store',
    instead: 'a field of its descriptor, StoreKind',
    matches: isStoreKindTest,
    isAllowed: (path) => !isShipped(path) || !path.startsWith('streams/'),
  },
];

/**
 * Words and calls with a better alternative: time, randomness and output are parameters, failures
 * have codes.
 */
export const checkBannedCode: SourceCheck = (source) => {
  const bans = BANS.filter(({ isAllowed }) => !isAllowed(source.path));
  const found: Finding[] = [];
  for (const node of nodesOf(source.tree)) {
    for (const { text, instead, matches } of bans) {
      if (!matches(node)) continue;
      found.push(finding(source, node.getStart(), `${text}: use ${instead}`));
    }
  }
  return found;
};

function isMember(node: ts.Node, object: string, member: string): boolean {
  return (
    ts.isPropertyAccessExpression(node) &&
    node.name.text === member &&
    node.expression.getText() === object
  );
}

function isNew(node: ts.Node, className: string): node is ts.NewExpression {
  return ts.isNewExpression(node) && node.expression.getText() === className;
}

/** A comparison or a case with the name of a kind of store. */
function isStoreKindTest(node: ts.Node): boolean {
  if (!ts.isStringLiteral(node) || !(node.text in STORE_KINDS)) return false;
  return ts.isBinaryExpression(node.parent) || ts.isCaseClause(node.parent);
}

/** True under an eslint directive that gives a reason. */
function isExplained(node: ts.Node): boolean {
  const tree = node.getSourceFile();
  const { line } = tree.getLineAndCharacterOfPosition(node.getStart());
  const above = tree.text.split('\n')[line - 1] ?? '';
  return /eslint-disable-next-line \S*no-explicit-any -- \S/.test(above);
}

/** Postponed work names the issue that tracks it. */
export const checkOpenEnds: SourceCheck = (source) => {
  const found: Finding[] = [];
  for (const { position, text } of commentsOf(source)) {
    for (const { index, 0: word } of text.matchAll(/\b(TODO|FIXME|XXX|HACK)\b(?!\s*\(?#\d)/g)) {
      found.push(finding(source, position + index, `${word} without an issue: ${word} #12`));
    }
  }
  return found;
};

const FILE_NAME = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|suite|config))?\.ts$/;

/** Files are kebab-case. */
export const checkFileName: SourceCheck = ({ path }) =>
  FILE_NAME.test(basename(path)) ? [] : [`${path}: file names are kebab-case`];

/** Only the entry points that package.json exports are named index.ts. */
export function checkIndexFiles(entryPoints: readonly string[]): SourceCheck {
  return ({ path }) => {
    if (basename(path) !== 'index.ts' || entryPoints.includes(path)) return [];
    return [`${path}: only the borders of packages are index.ts: ${entryPoints.join(', ')}`];
  };
}

const ERROR_CLASSES = ['LogError', 'StreamsError', 'ConnectError', 'AssertionFailure'];

/** Four error classes in all: a failure is a code, not a class. */
export const checkErrorClasses: SourceCheck = (source) => {
  const found: Finding[] = [];
  for (const node of nodesOf(source.tree)) {
    if (!ts.isClassLike(node)) continue;
    const parent = node.heritageClauses
      ?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)
      ?.types[0]?.expression.getText();
    if (parent === undefined || !/(Error|Failure)$/.test(parent)) continue;
    const name = node.name?.text ?? '(without a name)';
    if (ERROR_CLASSES.includes(name)) continue;
    const message = `error class ${name}: add a code to ${ERROR_CLASSES.slice(0, 3).join(', ')}`;
    found.push(finding(source, node.getStart(), message));
  }
  return found;
};
