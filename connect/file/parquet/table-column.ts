import { Assembler } from './assembler.ts';
import { ChunkReader } from './column-chunk.ts';
import { conversionOf } from './conversion.ts';
import type { PageSource } from './file-window.ts';
import { LeafReader } from './leaf-reader.ts';
import type { ColumnChunk, PhysicalType } from './metadata.ts';
import type { ValueOptions } from './number-values.ts';
import type { PageColumn } from './page.ts';
import { isFlat, planOf, type PlanOptions } from './plan.ts';
import type { SchemaNode } from './schema.ts';
import { VariantDecoder } from './variant.ts';

/** All that decides what values become. */
export type ColumnOptions = ValueOptions & PlanOptions;

/** A column of the table in one row group: a column of the file, or a group of those. */
export class TableColumn {
  readonly name: string;
  readonly #leaves: readonly LeafReader[];
  /** Undefined if the values of the only leaf are those of the rows. */
  readonly #assembler: Assembler | undefined;
  /** The leaf that was read last; for messages. */
  #current: LeafReader;

  /** @throws RangeError if the chunks are not those of the schema. */
  constructor(
    node: SchemaNode,
    chunks: readonly ColumnChunk[],
    source: PageSource,
    options: ColumnOptions,
  ) {
    this.name = node.name;
    const keepsLevels = !isFlat(node);
    this.#leaves = leavesOf(node).map(({ node: leaf, isVariantPart }) => {
      const chunk = chunks[leaf.firstColumn]!;
      const column = pageColumnOf(leaf, chunk, isVariantPart, options);
      return new LeafReader(new ChunkReader(source, chunk, column), column, keepsLevels);
    });
    this.#current = this.#leaves[0]!;
    if (!keepsLevels) return;
    const variants = new VariantDecoder(options);
    this.#assembler = new Assembler(planOf(node, options), this.#leaves, variants);
  }

  /** Where the page lies in the file that was read last; for messages. */
  get position(): number {
    return this.#current.chunk.pagePosition;
  }

  /** Where its first page begins in the file. */
  get startPosition(): number {
    return this.#leaves[0]!.chunk.startPosition;
  }

  /** Makes up to `rows` rows ready, at least one; the row group has so many more. */
  async fill(rows: number): Promise<number> {
    let ready = rows;
    for (const leaf of this.#leaves) {
      this.#current = leaf;
      ready = await leaf.fill(ready);
    }
    return ready;
  }

  /** Takes the values of the next rows, which are ready. They are valid up to the next `fill`. */
  take(rows: number): readonly unknown[] {
    if (this.#assembler !== undefined) {
      const values = this.#assembler.assemble(rows);
      for (const leaf of this.#leaves) leaf.drop(leaf.at, rows);
      return values;
    }
    const leaf = this.#current;
    // They move only if some are left.
    const values = leaf.count === rows ? leaf.values : leaf.values.slice(0, rows);
    leaf.drop(rows, rows);
    return values;
  }

  /** Skips rows, of which the row group has so many. */
  async skip(rows: number): Promise<void> {
    let left = rows;
    if (this.#assembler === undefined) left = await this.#current.skip(left);
    while (left > 0) {
      const ready = await this.fill(Math.min(left, SKIPPED_ROWS));
      this.take(ready);
      left -= ready;
    }
  }

  /** Checks that nothing is left after the last row. */
  close(): void {
    for (const leaf of this.#leaves) {
      this.#current = leaf;
      leaf.close();
    }
  }
}

const SKIPPED_ROWS = 4096;

interface Leaf {
  readonly node: SchemaNode;
  readonly isVariantPart: boolean;
}

/** The columns of the file that a node stands for, in their order. */
function leavesOf(node: SchemaNode, isVariantPart = false): Leaf[] {
  if (node.type !== undefined) return [{ node, isVariantPart }];
  const isVariant = isVariantPart || node.annotation?.is === 'variant';
  return node.children.flatMap((child) => leavesOf(child, isVariant));
}

function pageColumnOf(
  node: SchemaNode,
  chunk: ColumnChunk,
  isVariantPart: boolean,
  options: ColumnOptions,
): PageColumn {
  const { typeLength, annotation, definition, repetitions } = node;
  const type = node.type as PhysicalType;
  if (chunk.obstacle !== undefined) throw new RangeError(chunk.obstacle);
  if (chunk.type !== type) {
    throw new RangeError(`its values are ${chunk.type}, but its schema says ${type}`);
  }
  return {
    type,
    typeLength,
    conversion: conversionOf({ type, annotation, isVariantPart }, options),
    definition,
    repetitions,
    codec: chunk.codec,
  };
}
