import type * as YamlPackage from 'yaml';
import type { Document, Node } from 'yaml';
import { asError } from '../core/internal.ts';
import type { ConfigIssue } from './config.ts';
import { ConnectError } from './errors.ts';

/** A place in a text, both counted from 1. */
export interface TextPlace {
  readonly line: number;
  /** In UTF-16 units, as editors count. */
  readonly column: number;
}

type Yaml = typeof YamlPackage;

/** A config file: what it says, and where each part of it stands. */
export class ConfigDocument {
  /** Its name, for messages. */
  readonly file: string;
  /** Plain data: what JSON can say. */
  readonly content: unknown;
  readonly #yaml: Yaml;
  readonly #document: Document;
  readonly #placeAt: (offset: number) => TextPlace;

  /** @internal `parseConfigDocument` makes them. */
  constructor(file: string, content: unknown, parsed: Parsed) {
    this.file = file;
    this.content = content;
    this.#yaml = parsed.yaml;
    this.#document = parsed.document;
    this.#placeAt = parsed.placeAt;
  }

  /**
   * Where a part stands, by its path, such as `sources.0.config.path`: its name, or of something
   * that is missing, what it is missing in.
   */
  placeOf(path: string): TextPlace {
    let node: unknown = this.#document.contents;
    let offset = startOf(node) ?? 0;
    let names = path === '' ? [] : path.split('.');
    while (names.length > 0) {
      const found = this.#find(node, names);
      if (found === undefined) break;
      offset = found.offset ?? offset;
      node = found.node;
      names = names.slice(found.count);
    }
    return this.#placeAt(offset);
  }

  /** INVALID_CONFIG, with the line and the column of each mistake. */
  invalid(issues: readonly ConfigIssue[]): ConnectError {
    return invalidDocument(this.file, this.located(issues));
  }

  /** The mistakes in the order of their places, each with its own: `line 3, column 5: ...`. */
  located(issues: readonly ConfigIssue[]): ConfigIssue[] {
    const placed = issues.map((issue) => ({ ...issue, place: this.placeOf(issue.field) }));
    placed.sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
    return placed.map(({ field, problem, place }) => {
      const text = field === '' ? problem : `${field}: ${problem}`;
      return { field, problem: `${placeText(place)}: ${text}` };
    });
  }

  /** The first part of a path, which may be several names: names may have dots, too. */
  #find(
    parent: unknown,
    names: readonly string[],
  ): { node: unknown; offset: number | undefined; count: number } | undefined {
    const { isAlias, isMap, isSeq } = this.#yaml;
    const node = isAlias(parent) ? parent.resolve(this.#document) : parent;
    if (isSeq(node)) {
      const item = /^\d+$/.test(names[0] ?? '') ? node.items[Number(names[0])] : undefined;
      return item === undefined ? undefined : { node: item, offset: startOf(item), count: 1 };
    }
    if (!isMap(node)) return undefined;
    for (let count = 1; count <= names.length; count++) {
      const name = names.slice(0, count).join('.');
      const pair = node.items.find(({ key }) => String(key) === name);
      if (pair !== undefined) return { node: pair.value, offset: startOf(pair.key), count };
    }
    return undefined;
  }
}

interface Parsed {
  readonly yaml: Yaml;
  readonly document: Document;
  readonly placeAt: (offset: number) => TextPlace;
}

/**
 * Reads a config file: JSON if its name ends with `.json`, and otherwise YAML 1.2, which has JSON
 * in it. A tag that stands for anything but plain data is a mistake.
 *
 * @param file names it in messages.
 * @throws ConnectError INVALID_CONFIG with each mistake of its syntax, and where it stands.
 */
export async function parseConfigDocument(file: string, text: string): Promise<ConfigDocument> {
  const yaml = await import('yaml'); // large, and few programs need it
  const lines = new yaml.LineCounter();
  const placeAt = (offset: number): TextPlace => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const options = { lineCounter: lines, prettyErrors: false, stringKeys: true } as const;
  const document = yaml.parseDocument(text, options);
  const mistakes = [...document.errors, ...document.warnings].map(({ pos: [offset], message }) => {
    return { offset, problem: message };
  });
  let content: unknown;
  if (file.endsWith('.json')) content = jsonIn(file, text, mistakes, placeAt);
  else {
    if (mistakes.length > 0) throw badSyntax(file, mistakes, placeAt);
    try {
      content = document.toJS() as unknown;
    } catch (cause) {
      // An alias that stands for nothing, or so many that they would fill the memory.
      throw badSyntax(file, [{ offset: 0, problem: asError(cause).message }], placeAt);
    }
  }
  return new ConfigDocument(file, content, { yaml, document, placeAt });
}

interface Mistake {
  readonly offset: number;
  readonly problem: string;
}

function jsonIn(
  file: string,
  text: string,
  mistakes: readonly Mistake[],
  placeAt: Parsed['placeAt'],
): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const { message } = asError(cause);
    // Not every version of Node tells where; the other parser has seen a mistake there, too.
    const position = /at position (\d+)/.exec(message)?.[1];
    const offset = position === undefined ? mistakes[0]?.offset : Number(position);
    const problem = `it is not JSON: ${message}`;
    throw badSyntax(file, [{ offset: offset ?? text.length, problem }], placeAt);
  }
}

function badSyntax(
  file: string,
  mistakes: readonly Mistake[],
  placeAt: Parsed['placeAt'],
): ConnectError {
  const issues = mistakes.map(({ offset, problem }) => {
    return { field: '', problem: `${placeText(placeAt(offset))}: ${problem}` };
  });
  return invalidDocument(file, issues);
}

function invalidDocument(file: string, issues: readonly ConfigIssue[]): ConnectError {
  const count = issues.length === 1 ? 'a mistake' : `${issues.length} mistakes`;
  const lines = issues.map(({ problem }) => `\n  ${problem}`);
  const message = `${file} has ${count}:${lines.join('')}`;
  return new ConnectError('INVALID_CONFIG', message, { config: file, issues });
}

function placeText({ line, column }: TextPlace): string {
  return `line ${line}, column ${column}`;
}

function startOf(node: unknown): number | undefined {
  return (node as Partial<Node> | null | undefined)?.range?.[0];
}
