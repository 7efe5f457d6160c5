import ts from 'typescript';
import { finding, nodesOf, type Finding, type Source } from './source.ts';
import type { SourceCheck } from './source-checks.ts';

/** Interfaces that users fill in: options, and those that contain them. */
const OPTIONS = /(Options|Environment)$/;

/**
 * The comment of every optional option gives its default: `Default 5 s`, `Default: none`. If the
 * file has a constant of defaults, the two must agree.
 *
 * @param publicNames the interfaces that users see.
 */
export function checkOptionDocs(publicNames: ReadonlySet<string>): SourceCheck {
  return (source) => findingsIn(source, publicNames);
}

function findingsIn(source: Source, publicNames: ReadonlySet<string>): Finding[] {
  const found: Finding[] = [];
  const defaults = defaultsIn(source.tree);
  for (const node of source.tree.statements) {
    if (!ts.isInterfaceDeclaration(node) || !publicNames.has(node.name.text)) continue;
    const used = defaults.get(node.name.text);
    if (!OPTIONS.test(node.name.text) && used === undefined) continue;
    for (const member of node.members) {
      const name = member.name?.getText() ?? '';
      const value = used?.get(name);
      if (member.questionToken === undefined && value === undefined) continue;
      const fault = faultOf(textAbove(member), value);
      if (fault === undefined) continue;
      found.push(finding(source, member.getStart(), `${node.name.text}.${name}: ${fault}`));
    }
  }
  return found;
}

function faultOf(doc: string, value: string | undefined): string | undefined {
  const told = /\bdefault\b/i.exec(doc);
  if (told === null) return 'the comment does not tell the default';
  if (value === undefined) return undefined;
  const allowed = waysToSay(value);
  return allowed.some((way) => includesWord(doc, way))
    ? undefined
    : `the comment does not tell the default ${value}, such as ${allowed[0] ?? ''}`;
}

function includesWord(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const [before, after] = [text[at - 1] ?? ' ', text.slice(at + word.length)];
    if (!/[\w,]/.test(before) && !/^(\w|,\d)/.test(after)) return true;
  }
  return false;
}

const TIMES = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, day: 86_400_000, days: 86_400_000 };
const SIZES = { KiB: 1 << 10, MiB: 1 << 20, GiB: 2 ** 30 };

/** The ways in which a comment may write a value. */
function waysToSay(value: string): string[] {
  const number = Number(value);
  if (value === '' || Number.isNaN(number)) return [value];
  if (number === Number.MAX_SAFE_INTEGER) return ['no limit'];
  const units = Object.entries({ ...SIZES, ...TIMES });
  const inUnits = units.filter(([, size]) => number !== 0 && number % size === 0);
  return [
    number.toLocaleString('en'),
    ...inUnits.map(([unit, size]) => `${(number / size).toLocaleString('en')} ${unit}`),
  ];
}

/** The comment of a member, on one line. */
function textAbove(member: ts.Node): string {
  const comments = ts.getJSDocCommentsAndTags(member).map((comment) => comment.getText());
  return comments.join(' ').replace(/\s*\n\s*\* ?/g, ' ');
}

/**
 * The constants of defaults of a file, by their interface: `X_DEFAULTS` has it as its type, or
 * `satisfies` it. Only numbers, words and booleans count.
 */
function defaultsIn(tree: ts.SourceFile): Map<string, Map<string, string>> {
  const found = new Map<string, Map<string, string>>();
  const constants = constantsIn(tree);
  for (const node of nodesOf(tree)) {
    if (!ts.isVariableDeclaration(node) || !/_DEFAULTS$/.test(node.name.getText())) continue;
    const type = node.type ?? satisfiedBy(node.initializer);
    const name = /(\w+)>?$/.exec(type?.getText() ?? '')?.[1];
    const object = objectOf(node.initializer);
    if (name === undefined || object === undefined) continue;
    const values = new Map<string, string>();
    for (const property of object.properties) {
      if (!ts.isPropertyAssignment(property)) continue;
      const value = valueOf(property.initializer, constants);
      if (value !== undefined) values.set(property.name.getText(), String(value));
    }
    found.set(name, values);
  }
  return found;
}

function satisfiedBy(node: ts.Expression | undefined): ts.TypeNode | undefined {
  return node !== undefined && ts.isSatisfiesExpression(node) ? node.type : undefined;
}

function objectOf(node: ts.Expression | undefined): ts.ObjectLiteralExpression | undefined {
  if (node === undefined) return undefined;
  if (ts.isObjectLiteralExpression(node)) return node;
  return ts.isSatisfiesExpression(node) || ts.isAsExpression(node)
    ? objectOf(node.expression)
    : undefined;
}

type Value = number | string | boolean;

function constantsIn(tree: ts.SourceFile): Map<string, Value> {
  const constants = new Map<string, Value>([['Number.MAX_SAFE_INTEGER', Number.MAX_SAFE_INTEGER]]);
  for (const statement of tree.statements) {
    if (!ts.isVariableStatement(statement)) continue;
    for (const { name, initializer } of statement.declarationList.declarations) {
      const value = initializer && valueOf(initializer, constants);
      if (value !== undefined) constants.set(name.getText(), value);
    }
  }
  return constants;
}

/** Evaluates an expression of literals and constants of the file; undefined for any other. */
function valueOf(node: ts.Expression, constants: ReadonlyMap<string, Value>): Value | undefined {
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isStringLiteral(node)) return node.text;
  if (node.kind === ts.SyntaxKind.TrueKeyword) return true;
  if (node.kind === ts.SyntaxKind.FalseKeyword) return false;
  if (ts.isPrefixUnaryExpression(node)) return Number(node.getText());
  if (!ts.isBinaryExpression(node)) return constants.get(node.getText());
  const [left, right] = [valueOf(node.left, constants), valueOf(node.right, constants)];
  if (typeof left !== 'number' || typeof right !== 'number') return undefined;
  if (node.operatorToken.kind === ts.SyntaxKind.AsteriskToken) return left * right;
  return node.operatorToken.kind === ts.SyntaxKind.PlusToken ? left + right : undefined;
}
