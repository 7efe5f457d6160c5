import { basename } from 'node:path';
import ts from 'typescript';
import { isShipped, isTest, nodesOf, type Finding, type Source } from './source.ts';

/**
 * Rules that some places do not meet yet. Each place stands here with its number, which may only go
 * down: a larger one fails, a new one fails, and so does an entry that could be lower.
 */
export interface Ratchet {
  /** What is counted, for messages. */
  readonly what: string;
  /** More of it needs an entry. */
  readonly max: number;
  /** Names the place and the number; entries survive a move of the file where they name no path. */
  readonly measure: (source: Source) => Iterable<readonly [place: string, count: number]>;
  /** How much lower than its entry a number may be. */
  readonly slack: number;
  readonly entries: Readonly<Record<string, number>>;
}

/** Holds the places to their entries. */
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
 * A file is one thing, and one of more than 500 lines mostly two. Where the parts would only be
 * understood together, they stay together, and the file has an entry.
 */
export const LONG_FILES: Ratchet = {
  what: 'lines',
  max: 500,
  slack: 20, // or every edit would be one of the entry
  measure: ({ path, text }) => (isTest(path) ? [] : [[path, lineCount(text)]]),
  entries: {},
};

/** Tests are read one by one, not as a whole. */
export const LONG_TESTS: Ratchet = {
  ...LONG_FILES,
  max: 800,
  measure: ({ path, text }) => (isTest(path) ? [[path, lineCount(text)]] : []),
  entries: {},
};

function lineCount(text: string): number {
  return text.trimEnd().split('\n').length;
}

/** A class above eight changing fields is two classes: nobody sees all the states it can be in. */
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
    SourceRun: 9,
    StreamsApp: 9,
    TaskInput: 9,
  },
};

/**
 * `Promise.race` adds a reaction to each promise that it is given, and only a promise that settles
 * lets go of it: one in a field outlives the race, and all races leak into it.
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

/** Whether a field of `this`, or one of what is in it, is among the promises. */
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
