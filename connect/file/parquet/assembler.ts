import { BadValue } from './bad-value.ts';
import type { LeafReader } from './leaf-reader.ts';
import type { Field, ListPlan, Plan } from './plan.ts';
import type { VariantDecoder, VariantGroup } from './variant.ts';

/** The repetition level of the first value of a row. */
const ROW = 0;

/**
 * Puts nested values together from the columns they are made of. Each column tells by its levels
 * where something is missing and where a list goes on. The first column of a group decides; all
 * others are checked to agree, so that damage cannot mix up rows.
 */
export class Assembler {
  readonly #field: Field;
  readonly #leaves: readonly LeafReader[];
  readonly #variants: VariantDecoder;
  /** The first bad value of the current row. */
  #bad: BadValue | undefined;

  constructor(field: Field, leaves: readonly LeafReader[], variants: VariantDecoder) {
    this.#field = field;
    this.#leaves = leaves;
    this.#variants = variants;
  }

  /**
   * Makes the values of the next `rows` rows, which the leaves have ready; a BadValue for one that
   * holds a bad value.
   *
   * @throws RangeError if the columns contradict each other.
   */
  assemble(rows: number): unknown[] {
    const values: unknown[] = [];
    for (let row = 0; row < rows; row++) {
      this.#bad = undefined;
      const value = this.#read(this.#field, ROW);
      values.push(this.#badOr(value));
    }
    return values;
  }

  #badOr(value: unknown): unknown {
    return this.#bad ?? value;
  }

  /** @param repetition the level that the next value of each column has to have. */
  #read(field: Field, repetition: number): unknown {
    if (field.isOptional && this.#level(field) < field.definition) {
      this.#skip(field, field.definition - 1, repetition);
      return null;
    }
    return this.#content(field.plan, field, repetition);
  }

  #content(plan: Plan, field: Field, repetition: number): unknown {
    switch (plan.is) {
      case 'leaf':
        return this.#value(field, repetition);
      case 'struct': {
        const value = { ...plan.template } as Record<string, unknown>;
        for (const part of plan.fields) value[part.name] = this.#read(part, repetition);
        return value;
      }
      case 'list':
        return this.#list(plan, field, repetition);
      case 'map': {
        const entries = this.#list(plan.entries, field, repetition).map((entry) => {
          const { [plan.key]: key, [plan.value]: value } = entry as Record<string, unknown>;
          return [key, value] as const;
        });
        return plan.isObject ? this.#mapObject(entries) : entries;
      }
      case 'variant': {
        const group = this.#read(plan.group, repetition) as VariantGroup;
        const value = this.#variants.decode(group, plan.shredded);
        if (value instanceof BadValue) this.#bad ??= value;
        return value;
      }
    }
  }

  #list(plan: ListPlan, field: Field, repetition: number): unknown[] {
    const elements: unknown[] = [];
    if (this.#level(field) < plan.definition) {
      this.#skip(field, plan.definition - 1, repetition);
      return elements;
    }
    const first = this.#leaves[field.first]!;
    elements.push(this.#read(plan.element, repetition));
    while (first.at < first.count && first.repetitions[first.at] === plan.repetitions) {
      elements.push(this.#read(plan.element, plan.repetitions));
    }
    return elements;
  }

  #mapObject(entries: readonly (readonly [unknown, unknown])[]): unknown {
    const object = Object.fromEntries(entries as readonly (readonly [string, unknown])[]);
    const odd = entries.find(([key]) => typeof key !== 'string' && !(key instanceof BadValue));
    if (odd !== undefined) {
      this.#bad ??= new BadValue('a map with a key that is no text', 'maps');
    } else if (Object.keys(object).length < entries.length) {
      this.#bad ??= new BadValue('a map with the same key twice', 'maps');
    }
    return object;
  }

  /** The definition level of the next value of a field's first column. */
  #level({ first }: Field): number {
    const leaf = this.#leaves[first]!;
    if (leaf.at >= leaf.count) throw contradiction(leaf);
    return leaf.definitions[leaf.at]!;
  }

  #value({ first, definition }: Field, repetition: number): unknown {
    const leaf = this.#leaves[first]!;
    const value = leaf.values[leaf.at];
    advance(leaf, definition, repetition);
    if (value instanceof BadValue) this.#bad ??= value;
    return value;
  }

  /** Moves all columns of a field over the place of what is missing. */
  #skip({ first, end }: Field, definition: number, repetition: number): void {
    for (let index = first; index < end; index++) {
      advance(this.#leaves[index]!, definition, repetition);
    }
  }
}

/** Moves over a value that has to have these levels. */
function advance(leaf: LeafReader, definition: number, repetition: number): void {
  const { at, count } = leaf;
  const isSound =
    at < count && leaf.definitions[at] === definition && leaf.repetitions[at] === repetition;
  if (!isSound) throw contradiction(leaf);
  leaf.at = at + 1;
}

function contradiction(leaf: LeafReader): RangeError {
  return new RangeError(`its columns contradict each other at value ${leaf.at}`);
}
