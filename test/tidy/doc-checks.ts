import ts from 'typescript';
import { nodesOf, type Finding, type Source } from './source.ts';
import { titleOf } from './source-checks.ts';

/** The codes of one package, read from its errors.ts. */
export interface ErrorTable {
  /** As users import it: `millrace`, `millrace/streams`. */
  readonly packageName: string;
  readonly codes: ReadonlyMap<string, ErrorCode>;
}
interface ErrorCode {
  /** The fields of `details`. */
  readonly fields: readonly string[];
  readonly isRetriable: boolean;
}

/**
 * Reads the code table of a package: the members of the interface `...ErrorDetails`, and the
 * strings in the set RETRIABLE, if there is one.
 */
export function readErrorTable(packageName: string, source: Source): ErrorTable {
  const codes = new Map<string, ErrorCode>();
  const retriable = new Set<string>();
  for (const node of nodesOf(source.tree)) {
    if (!ts.isVariableDeclaration(node) || node.name.getText() !== 'RETRIABLE') continue;
    for (const inner of nodesOf(node)) {
      const isType = ts.isLiteralTypeNode(inner.parent);
      if (ts.isStringLiteral(inner) && !isType) retriable.add(inner.text);
    }
  }
  for (const node of nodesOf(source.tree)) {
    if (!ts.isInterfaceDeclaration(node) || !node.name.text.endsWith('ErrorDetails')) continue;
    for (const member of node.members) {
      const code = member.name?.getText() ?? '';
      codes.set(code, { fields: fieldsOf(member), isRetriable: retriable.has(code) });
    }
  }
  return { packageName, codes };
}

function fieldsOf(member: ts.TypeElement): string[] {
  if (!ts.isPropertySignature(member) || member.type === undefined) return [];
  if (!ts.isTypeLiteralNode(member.type)) return [];
  return member.type.members.map(({ name }) => name?.getText() ?? '');
}

/**
 * Compares docs/ERRORS.md with the code tables: a section per package, a heading per code, and
 * below each a sentence, what was not done, what to do, the fields of `details`, and whether to
 * retry.
 */
export function checkErrorsPage(page: string, tables: readonly ErrorTable[]): Finding[] {
  const found: Finding[] = [];
  const sections = splitAt(page, /^## `(.+)`$/m);
  for (const { packageName, codes } of tables) {
    const entries = splitAt(sections.get(packageName) ?? '', /^### (.+)$/m);
    for (const [code, expected] of codes) {
      const entry = entries.get(code);
      if (entry === undefined) found.push(`ERRORS.md: ${packageName} lacks ${code}`);
      else found.push(...faultsOf(entry, expected).map((fault) => `ERRORS.md: ${code}: ${fault}`));
    }
    for (const code of entries.keys()) {
      if (!codes.has(code)) found.push(`ERRORS.md: ${packageName} has no code ${code}`);
    }
  }
  const known = tables.map(({ packageName }) => packageName);
  for (const name of sections.keys()) {
    if (!known.includes(name)) found.push(`ERRORS.md: no code table for the section ${name}`);
  }
  return found;
}

function faultsOf(entry: string, { fields, isRetriable }: ErrorCode): string[] {
  const faults: string[] = [];
  if (!/^\s*[^-\s][^]*?\.\n/.test(entry)) faults.push('no sentence says what it means');
  if (!/^- \*\*Not done:\*\* \S/m.test(entry)) faults.push('no "Not done:"');
  if (!/^- \*\*To do:\*\* \S/m.test(entry)) faults.push('no "To do:"');
  const listed = /^- \*\*Details:\*\* (.+)$/m.exec(entry)?.[1] ?? '';
  const expected = fields.map((field) => `\`${field}\``).join(', ');
  if (listed !== expected) faults.push(`"Details:" must be ${expected}`);
  if (entry.includes('- **Retriable.**') !== isRetriable) {
    faults.push(isRetriable ? 'it is retriable' : 'it is not retriable');
  }
  return faults;
}

/** Finds codes that nothing throws: the page would promise them in vain. */
export function checkCodesAreThrown(
  { packageName, codes }: ErrorTable,
  sources: readonly Source[],
): Finding[] {
  const written = new Set<string>();
  for (const { tree } of sources) {
    for (const node of nodesOf(tree)) if (ts.isStringLiteral(node)) written.add(node.text);
  }
  const dead = [...codes.keys()].filter((code) => !written.has(code));
  return dead.map((code) => `${packageName}: nothing throws ${code}`);
}

/** The text below each heading that `heading` matches, up to the next one, by its first group. */
function splitAt(page: string, heading: RegExp): Map<string, string> {
  const parts = page.split(heading);
  const sections = new Map<string, string>();
  for (let index = 1; index < parts.length; index += 2) {
    sections.set(parts[index]!, parts[index + 1]!);
  }
  return sections;
}

const RULE_ID = /[A-Z]+(?:-[A-Z]+)*-\d+/.source;

/**
 * Compares docs/SPEC.md with the tests: each rule is in the title of a test, and each id in a title
 * is a rule.
 */
export function checkSpec(spec: string, tests: readonly Source[]): Finding[] {
  const found: Finding[] = [];
  const defined = new Set<string>();
  for (const [section, text] of splitAt(withoutCodeBlocks(spec), /^## ([A-Z]+)$/m)) {
    for (const [, id] of text.matchAll(/^- \*\*\[([^\]]*)\]\*\*/gm)) {
      if (id === undefined || !new RegExp(`^${RULE_ID}$`).test(id)) {
        found.push(`SPEC.md: ${String(id)} is not of the form ${section}-1 or ${section}-JOIN-1`);
      } else if (defined.has(id)) {
        found.push(`SPEC.md: ${id} is given twice`);
      } else {
        defined.add(id);
        if (!id.startsWith(`${section}-`)) {
          found.push(`SPEC.md: ${id} stands in the section ${section}`);
        }
      }
    }
  }
  const tested = new Set<string>();
  for (const test of tests) {
    for (const id of idsOf(test)) {
      tested.add(id);
      if (!defined.has(id)) found.push(`${test.path}: [${id}] is not defined in SPEC.md`);
    }
  }
  for (const id of defined) if (!tested.has(id)) found.push(`SPEC.md: no test is named [${id}]`);
  return found;
}

function withoutCodeBlocks(page: string): string {
  return page.replace(/^```[^]*?^```/gm, '');
}

/** The rule ids at the start of the titles of a file's tests. */
function idsOf(test: Source): Set<string> {
  const ids = new Set<string>();
  for (const node of nodesOf(test.tree)) {
    const title = titleOf(node);
    if (title === undefined) continue;
    const head = new RegExp(`^(\\[${RULE_ID}\\] ?)+`).exec(title)?.[0] ?? '';
    for (const [id] of head.matchAll(new RegExp(RULE_ID, 'g'))) ids.add(id);
  }
  return ids;
}

/** The files of the project, to check what a page says about them. */
export interface Tree {
  readonly exists: (path: string) => boolean;
  readonly source: (path: string) => Source;
}

const PATH = /^(core|streams|connect|job|services|cli|examples|bench|test|docs)\/[\w./-]*$/;
/** Generated by a script, so missing on a fresh clone. */
const GENERATED = /^docs\/api\//;

/**
 * Compares a page with the tree; `name` is its path. Checks that paths in code marks, relative to
 * the root, and link targets, relative to the page, exist; and for links of the form
 * [`Class.member`](../path.ts) or [`function`](../path.ts) that the file declares it.
 */
export function checkPage(name: string, page: string, tree: Tree): Finding[] {
  const found: Finding[] = [];
  for (const [, path = ''] of page.matchAll(/`([^`\n]+)`/g)) {
    if (!PATH.test(path) || GENERATED.test(path) || tree.exists(path)) continue;
    found.push(`${name}: there is no ${path}`);
  }
  for (const [, label = '', target = ''] of page.matchAll(/\[([^\]]+)\]\(([^)#\s]+)[^)]*\)/g)) {
    if (/^https?:/.test(target)) continue;
    const path = new URL(target, `file:///${name}`).pathname.slice(1);
    if (!tree.exists(path)) {
      found.push(`${name}: there is no ${path}`);
      continue;
    }
    const symbol = /^`([\w.#$]+)`$/.exec(label)?.[1];
    if (symbol === undefined || !path.endsWith('.ts')) continue;
    if (!declares(tree.source(path), symbol)) found.push(`${name}: ${path} has no ${symbol}`);
  }
  return found;
}

/**
 * True when a file declares `function`, `Class`, `constant` or `Class.member` (`Class.#member`).
 */
function declares(source: Source, symbol: string): boolean {
  const [name, member] = symbol.split('.');
  return source.tree.statements.some((statement) => {
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.some(
        (declaration) => declaration.name.getText() === name && hasMember(declaration, member),
      );
    }
    const isNamed = isDeclaration(statement) && statement.name?.text === name;
    return isNamed && hasMember(statement, member);
  });
}

type Declaration =
  ts.FunctionDeclaration | ts.ClassDeclaration | ts.InterfaceDeclaration | ts.TypeAliasDeclaration;

function isDeclaration(node: ts.Node): node is Declaration {
  return (
    ts.isFunctionDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node)
  );
}

function hasMember(declaration: ts.Node, member: string | undefined): boolean {
  if (member === undefined) return true;
  if (ts.isClassDeclaration(declaration) || ts.isInterfaceDeclaration(declaration)) {
    return declaration.members.some(({ name }) => name?.getText() === member);
  }
  const value = ts.isVariableDeclaration(declaration) ? declaration.initializer : undefined;
  if (value === undefined || !ts.isObjectLiteralExpression(value)) return false;
  return value.properties.some(({ name }) => name?.getText() === member);
}
