import { readFileSync } from 'node:fs';
import { globSync } from 'tinyglobby';
import ts from 'typescript';
import { ROOT } from '../kit/root.ts';

/** A TypeScript file as the checks see it. */
export interface Source {
  /** From the root, with forward slashes: `core/log/segment/segment.ts`. */
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
}

/** A complaint of a check, with its place: `core/log/segment/segment.ts:12: ...`. */
export type Finding = string;

export function sourceOf(path: string, text: string): Source {
  return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) };
}

/** Every TypeScript file of the project, by path. */
export function readSources(): Source[] {
  const ignore = ['**/node_modules/**', 'dist/**', 'docs/api/**', 'data/**'];
  const paths = globSync('**/*.ts', { cwd: ROOT, ignore, dot: true });
  return paths.sort().map((path) => sourceOf(path, readText(path)));
}

/** The text of a file; the path is relative to the root. */
export function readText(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/** True for tests, suites that several tests run, and test helpers. */
export function isTest(path: string): boolean {
  return path.startsWith('test/') || /\.(test|suite)\.ts$/.test(path);
}

/** True for the code that the npm package carries. */
export function isShipped(path: string): boolean {
  return /^(core|streams|connect|job|services|cli)\//.test(path) && !isTest(path);
}

/** All nodes below `node`, itself first. (Generators in generators would take far longer.) */
export function nodesOf(node: ts.Node): readonly ts.Node[] {
  const nodes: ts.Node[] = [];
  const visit = (each: ts.Node): void => {
    nodes.push(each);
    ts.forEachChild(each, visit);
  };
  visit(node);
  return nodes;
}

export function finding(source: Source, position: number, message: string): Finding {
  const { line } = source.tree.getLineAndCharacterOfPosition(position);
  return `${source.path}:${line + 1}: ${message}`;
}

/** The comments of a file with their positions: the text between its tokens. */
export function commentsOf({ tree, text }: Source): { position: number; text: string }[] {
  const comments = new Map<number, string>();
  for (const token of tokensOf(tree)) {
    const ranges = [
      ...(ts.getLeadingCommentRanges(text, token.pos) ?? []),
      ...(ts.getTrailingCommentRanges(text, token.end) ?? []),
    ];
    // A comment at the start of a file is in both.
    for (const { pos, end } of ranges) comments.set(pos, text.slice(pos, end));
  }
  return [...comments].map(([position, comment]) => ({ position, text: comment }));
}

function tokensOf(tree: ts.SourceFile): readonly ts.Node[] {
  const tokens: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    const children = node.getChildren(tree).filter(({ kind }) => kind !== ts.SyntaxKind.JSDoc);
    if (children.length === 0) tokens.push(node);
    for (const child of children) visit(child);
  };
  visit(tree);
  return tokens;
}
