import { basename } from 'node:path';
import ts from 'typescript';
import { isShipped, isTest, nodesOf, type Finding, type Source } from './source.ts';

/**
 * Rules that some places do not meet yet. Each place has an entry with its number, which may only
 * go down: a larger number fails, a new place fails, and so does an entry that could be lower.
 */
export interface Ratchet {
  /** Names what is counted, for messages. */
  readonly what: string;
  /** A larger number needs an entry. */
  readonly max: number;
  /** Yields each place and its number; an entry survives a move of the file if it names no path. */
  readonly measure: (source: Source) => Iterable<readonly [place: string, count: number]>;
  /** How far a number may be below its entry. */
  readonly slack: number;
  readonly entries: Readonly<Record<string, number>>;
}

/** Compares the places with their entries. */
export function checkRatchet(
  { what, max, measure, slack, entries }: Ratchet,
  sources: readonly Source[],
): Finding[] {
  const found: Finding[] = [];
  const counts = new Map<string, number>();
  for (const source of sources) {
    for (const [place, count] of measure(source)) {
      counts.set(place, Math.max(count, counts.get(place) ?? 0));
    }
  }
  for (const [place, count] of counts) {
    const limit = entries[place] ?? max;
    if (count > limit) found.push(`${place}: ${count} ${what}, at most ${limit}`);
  }
  for (const [place, limit] of Object.entries(entries)) {
    const count = counts.get(place) ?? 0;
    if (count <= max) found.push(`${place}: needs no entry any more in test/tidy/ratchets.ts`);
    else if (count < limit - slack) {
      found.push(`${place}: ${count} ${what}: lower the entry in test/tidy/ratchets.ts`);
    }
  }
  return found;
}

/**
 * A file is one thing, and one of more than 500 lines is mostly two. If the parts can only be
 * understood together, they stay together, and the file has an entry.
 */
export const LONG_FILES: Ratchet = {
  what: 'lines',
  max: 500,
  slack: 20, // or every edit would change the entry
  measure: ({ path, text }) => (isTest(path) ? [] : [[path, lineCount(text)]]),
  entries: {},
};

/** Tests are read one at a time, so their files may be longer. */
export const LONG_TESTS: Ratchet = {
  ...LONG_FILES,
  max: 800,
  measure: ({ path, text }) => (isTest(path) ? [[path, lineCount(text)]] : []),
  entries: {},
};

function lineCount(text: string): number {
  return text.trimEnd().split('\n').length;
}

/** A class with more than eight changing fields has too many states to understand: split it. */
export const CHANGING_FIELDS: Ratchet = {
  what: 'changing fields',
  max: 8,
  slack: 0,
  *measure({ path, tree }) {
    if (!isShipped(path)) return;
    for (const node of nodesOf(tree)) {
      if (!ts.isClassLike(node)) continue;
      const fields = node.members.filter(
        (member) =>
          ts.isPropertyDeclaration(member) &&
          !has(member, ts.SyntaxKind.ReadonlyKeyword) &&
          !has(member, ts.SyntaxKind.DeclareKeyword),
      );
      yield [node.name?.text ?? `a class in ${path}`, fields.length];
    }
  },
  entries: {
    RecordCursor: 13,
    Segment: 11,
    SendCounters: 15,
    TaskInput: 9,
  },
};

/**
 * `Promise.race` adds a reaction to each of its promises, and a promise releases it only when it
 * settles. A promise in a field outlives the race, so it collects the reactions of all races.
 */
export const RACES_WITH_FIELDS: Ratchet = {
  what: 'races with a field',
  max: 0,
  slack: 0,
  *measure({ path, tree }) {
    if (!isShipped(path)) return;
    let count = 0;
    for (const node of nodesOf(tree)) {
      if (!ts.isCallExpression(node)) continue;
      if (!/^Promise\.(race|any)$/.test(node.expression.getText())) continue;
      if (node.arguments.some((argument) => racesField(argument))) count++;
    }
    yield [basename(path), count];
  },
  entries: {},
};

/** Whether the promises include a field of `this`, or one inside it. */
function racesField(node: ts.Node): boolean {
  if (ts.isArrayLiteralExpression(node)) return node.elements.some(racesField);
  if (ts.isSpreadElement(node)) return racesField(node.expression);
  if (ts.isNonNullExpression(node) || ts.isParenthesizedExpression(node)) {
    return racesField(node.expression);
  }
  if (ts.isBinaryExpression(node)) return racesField(node.left) || racesField(node.right);
  return ts.isPropertyAccessExpression(node) && isOfThis(node.expression);
}

function isOfThis(node: ts.Expression): boolean {
  if (node.kind === ts.SyntaxKind.ThisKeyword) return true;
  return ts.isPropertyAccessExpression(node) && isOfThis(node.expression);
}

function has(node: ts.PropertyDeclaration, kind: ts.SyntaxKind): boolean {
  return node.modifiers?.some((modifier) => modifier.kind === kind) ?? false;
}
