import { pick, SURVIVALS, type MemoryContent } from './memory-content.ts';
import type { Random } from '../random.ts';

export type MemoryNode = MemoryContent | MemoryDirectory;

/** One name set or, without a node, removed. */
interface NameEdit {
  readonly directory: MemoryDirectory;
  readonly name: string;
  readonly node: MemoryNode | undefined;
}

/** A change of names that survives a crash whole or not at all; a rename edits two. */
interface NameChange {
  /** Counts up across the whole file system. */
  readonly number: number;
  readonly edits: readonly NameEdit[];
}

/**
 * Two versions of the names in a directory: as programs see them and as stored on the disk, with
 * the changes in between that a power cut may lose.
 */
export class MemoryDirectory {
  readonly isDirectory = true;
  readonly entries = new Map<string, MemoryNode>();
  #durable = new Map<string, MemoryNode>();
  /**
   * The changes in the entries that the durable ones lack, in order. A rename is in both
   * directories.
   */
  #changes: NameChange[] = [];
  static #number = 0;

  /** Sets or removes names, in one or two directories, as one change. */
  static change(edits: readonly NameEdit[]): void {
    const change = { number: ++MemoryDirectory.#number, edits };
    for (const directory of new Set(edits.map((edit) => edit.directory))) {
      edit(change, directory, directory.entries);
      directory.#changes.push(change);
    }
  }

  /** Begins a sync, which covers no later changes. Returns the function that ends it. */
  beginSync(): number {
    return MemoryDirectory.#number;
  }

  endSync(covered: number): void {
    const done = this.#changes.filter(({ number }) => number <= covered);
    this.#changes = this.#changes.filter(({ number }) => number > covered);
    for (const change of done) {
      edit(change, this, this.#durable);
      // A journal commits a rename whole and in order: so the other directory is durable up to it
      // too.
      for (const { directory } of change.edits) directory.endSync(change.number);
    }
  }

  /** As `MemoryContent.failSync`: changes lost now are lost for later syncs too. */
  failSync(covered: number, random: Random): void {
    const failed = this.#changes.filter(({ number }) => number <= covered);
    const survives = survivorsOf(failed, random);
    for (const change of failed) {
      for (const { directory } of change.edits) {
        if (survives(change)) edit(change, directory, directory.#durable);
        directory.#changes = directory.#changes.filter((other) => other !== change);
      }
    }
  }

  /** A tree after a power cut. */
  static afterCrash(root: MemoryDirectory, random: Random): MemoryDirectory {
    const directories = [...reachable(root)];
    const changes = new Set(directories.flatMap((directory) => directory.#changes));
    const survives = survivorsOf([...changes], random);
    const copies = new Map<MemoryNode, MemoryNode>();
    const copyOf = (node: MemoryNode): MemoryNode => {
      const known = copies.get(node);
      if (known !== undefined) return known;
      if (!node.isDirectory) {
        const content = node.afterCrash(random);
        copies.set(node, content);
        return content;
      }
      const copy = new MemoryDirectory();
      copies.set(node, copy);
      const names = new Map(node.#durable);
      for (const change of node.#changes) if (survives(change)) edit(change, node, names);
      for (const [name, child] of names) copy.entries.set(name, copyOf(child));
      copy.#durable = new Map(copy.entries);
      return copy;
    };
    return copyOf(root) as MemoryDirectory;
  }

  /** A copy of the tree, including all that is not durable. */
  static copy(root: MemoryDirectory): MemoryDirectory {
    const copies = new Map<MemoryNode, MemoryNode>();
    const changes = new Map<NameChange, NameChange>();
    const copyOf = (node: MemoryNode): MemoryNode => {
      const known = copies.get(node);
      if (known !== undefined) return known;
      if (!node.isDirectory) {
        const content = node.copy();
        copies.set(node, content);
        return content;
      }
      const copy = new MemoryDirectory();
      copies.set(node, copy);
      for (const [name, child] of node.entries) copy.entries.set(name, copyOf(child));
      for (const [name, child] of node.#durable) copy.#durable.set(name, copyOf(child));
      copy.#changes = node.#changes.map(changeOf);
      return copy;
    };
    const changeOf = (change: NameChange): NameChange => {
      const known = changes.get(change);
      if (known !== undefined) return known;
      const edits: NameEdit[] = [];
      const copy = { number: change.number, edits };
      changes.set(change, copy);
      for (const { directory, name, node } of change.edits) {
        const target = copyOf(directory) as MemoryDirectory;
        edits.push({ directory: target, name, node: node && copyOf(node) });
      }
      return copy;
    };
    return copyOf(root) as MemoryDirectory;
  }

  /**
   * The directories in and below this one that a crash may show: the current ones, those on the
   * disk, and those in between.
   */
  *mayHold(): Generator<MemoryDirectory> {
    const children = [...this.#durable.values(), ...this.entries.values()];
    for (const { edits } of this.#changes) {
      for (const { node } of edits) if (node !== undefined) children.push(node);
    }
    for (const child of children) if (child.isDirectory) yield child;
  }
}

/** The files below a directory as programs see them. */
export function* filesBelow(directory: MemoryDirectory): Generator<MemoryContent> {
  for (const node of directory.entries.values()) {
    if (node.isDirectory) yield* filesBelow(node);
    else yield node;
  }
}

function reachable(
  directory: MemoryDirectory,
  found = new Set<MemoryDirectory>(),
): Set<MemoryDirectory> {
  if (found.has(directory)) return found;
  found.add(directory);
  for (const child of directory.mayHold()) reachable(child, found);
  return found;
}

function edit(
  change: NameChange,
  directory: MemoryDirectory,
  names: Map<string, MemoryNode>,
): void {
  for (const { directory: edited, name, node } of change.edits) {
    if (edited !== directory) continue;
    if (node === undefined) names.delete(name);
    else names.set(name, node);
  }
}

/** One outcome of a crash: which changes survive. */
function survivorsOf(
  changes: readonly NameChange[],
  random: Random,
): (change: NameChange) => boolean {
  const ordered = changes.toSorted((a, b) => a.number - b.number);
  const survival = pick(random, SURVIVALS);
  const prefix = Math.floor(random.next() * (ordered.length + 1));
  const surviving = new Set<NameChange>();
  for (const [index, change] of ordered.entries()) {
    const isKept =
      survival === 'all' ||
      (survival === 'prefix' && index < prefix) ||
      (survival === 'any' && random.next() < 0.5);
    if (isKept) surviving.add(change);
  }
  return (change) => surviving.has(change);
}
