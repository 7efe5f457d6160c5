import type { SchemaNode } from './schema.ts';

/** Part of a row that may be null, and the columns that it is made of. */
export interface Field {
  readonly name: string;
  /** The definition level from which on it is there; those below mean null. */
  readonly definition: number;
  readonly isOptional: boolean;
  /** Columns, counted from the first one of the whole column of the table. */
  readonly first: number;
  readonly end: number;
  readonly plan: Plan;
}

/** How a value is put together. */
export type Plan =
  | { readonly is: 'leaf' }
  | { readonly is: 'struct'; readonly fields: readonly Field[]; readonly template: object }
  | ListPlan
  | {
      readonly is: 'map';
      readonly entries: ListPlan;
      /** The names of the two fields of an entry. */
      readonly key: string;
      readonly value: string;
      /** Else a list of entries. */
      readonly isObject: boolean;
    }
  | { readonly is: 'variant'; readonly group: Field; readonly shredded: Shredded };

/** Repeated values, where the level of the list itself is that of an empty one. */
export interface ListPlan {
  readonly is: 'list';
  /** The definition level from which on it has elements. */
  readonly definition: number;
  /** The repetition level of elements after the first one. */
  readonly repetitions: number;
  readonly element: Field;
}

/** Which parts of a variant have columns of their own (`typed_value`). */
export interface Shredded {
  readonly typed: 'nothing' | 'primitive' | 'list' | 'object';
  /** Of a list. */
  readonly element: Shredded | undefined;
  /** Of an object. */
  readonly fields: ReadonlyMap<string, Shredded>;
}

/** What users choose; see `ParquetOptions`. */
export interface PlanOptions {
  readonly maps: 'object' | 'entries';
}

/** How to put together the values of a column of the table. */
export function planOf(node: SchemaNode, options: PlanOptions): Field {
  return new Planner(node.firstColumn, options).field(node);
}

/** True if each of its values is one value of a column of the file. */
export function isFlat(node: SchemaNode): boolean {
  return node.type !== undefined && node.repetition !== 'repeated';
}

class Planner {
  readonly #firstColumn: number;
  readonly #options: PlanOptions;

  constructor(firstColumn: number, options: PlanOptions) {
    this.#firstColumn = firstColumn;
    this.#options = options;
  }

  /** A repeated node that no annotation explains is a list of its own. */
  field(node: SchemaNode): Field {
    if (node.repetition !== 'repeated') return this.#fieldOf(node, this.#content(node));
    const list = this.#list(node, this.#element(node, this.#content(node)));
    return { ...this.#fieldOf(node, list), isOptional: false, definition: node.definition - 1 };
  }

  #fieldOf(node: SchemaNode, plan: Plan): Field {
    return {
      name: node.name,
      definition: node.definition,
      isOptional: node.repetition === 'optional',
      first: node.firstColumn - this.#firstColumn,
      end: node.endColumn - this.#firstColumn,
      plan,
    };
  }

  /** The elements of a repeated node: each is there. */
  #element(node: SchemaNode, plan: Plan): Field {
    return { ...this.#fieldOf(node, plan), isOptional: false };
  }

  #list({ definition, repetitions }: SchemaNode, element: Field): ListPlan {
    return { is: 'list', definition, repetitions, element };
  }

  #content(node: SchemaNode): Plan {
    if (node.type !== undefined) return { is: 'leaf' };
    switch (node.annotation?.is) {
      case 'list':
        return this.#annotatedList(node) ?? this.#struct(node);
      case 'map':
        return this.#annotatedMap(node) ?? this.#struct(node);
      case 'variant': {
        const group = { ...this.#fieldOf(node, this.#struct(node)), isOptional: false };
        return { is: 'variant', group, shredded: shreddedOf(node) };
      }
      default:
        return this.#struct(node);
    }
  }

  #struct(node: SchemaNode): Plan {
    const names = node.children.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) {
      throw new RangeError(`its group ${node.path} has two fields that are called ${twice}`);
    }
    const fields = node.children.map((child) => this.field(child));
    return { is: 'struct', fields, template: templateOf(names) };
  }

  /** By the rules of LogicalTypes.md, with those for lists of two levels, which old files have. */
  #annotatedList(node: SchemaNode): Plan | undefined {
    const [repeated, ...more] = node.children;
    if (repeated?.repetition !== 'repeated' || more.length > 0) return undefined;
    const [child] = repeated.children;
    const isElement =
      child === undefined ||
      repeated.children.length > 1 ||
      child.repetition === 'repeated' ||
      repeated.annotation?.is === 'list' ||
      repeated.annotation?.is === 'map' ||
      repeated.name === 'array' ||
      repeated.name === `${node.name}_tuple`;
    const element = isElement
      ? this.#element(repeated, this.#content(repeated))
      : this.field(child);
    return this.#list(repeated, element);
  }

  #annotatedMap(node: SchemaNode): Plan | undefined {
    const [repeated, ...more] = node.children;
    if (repeated?.repetition !== 'repeated' || more.length > 0) return undefined;
    const [key, value, ...others] = repeated.children;
    if (key === undefined || others.length > 0 || key.repetition === 'repeated') return undefined;
    // A set.
    if (value === undefined) return this.#list(repeated, this.field(key));
    const entries = this.#list(repeated, this.#element(repeated, this.#struct(repeated)));
    // Old writers do not say that bytes are text.
    const hasTextKeys =
      key.type === 'BYTE_ARRAY' && (key.annotation === undefined || key.annotation.is === 'text');
    const isObject = hasTextKeys && this.#options.maps === 'object';
    return { is: 'map', entries, key: key.name, value: value.name, isObject };
  }
}

/**
 * An object with these properties. Copies of it have one shape, however many they are, and
 * `__proto__` is a property like the others.
 */
export function templateOf(names: readonly string[]): object {
  return Object.fromEntries(names.map((name) => [name, null]));
}

function shreddedOf(group: SchemaNode): Shredded {
  if (group.type !== undefined) throw new RangeError(`${group.path} is no part of a variant`);
  const typed = group.children.find(({ name }) => name === 'typed_value');
  if (typed === undefined) return { typed: 'nothing', element: undefined, fields: new Map() };
  if (typed.type !== undefined)
    return { typed: 'primitive', element: undefined, fields: new Map() };
  if (typed.annotation?.is === 'list') {
    const element = typed.children[0]?.children[0];
    if (element === undefined) throw new RangeError(`${typed.path} is no list`);
    return { typed: 'list', element: shreddedOf(element), fields: new Map() };
  }
  const fields = new Map(typed.children.map((child) => [child.name, shreddedOf(child)]));
  return { typed: 'object', element: undefined, fields };
}
