import type { Annotation, PhysicalType, SchemaElement } from './metadata.ts';

/** A column, a group of columns, or the row itself. */
export interface SchemaNode {
  readonly name: string;
  /** From the row: `address.street`. */
  readonly path: string;
  readonly repetition: SchemaElement['repetition'];
  /** Undefined for groups. */
  readonly type: PhysicalType | undefined;
  readonly typeLength: number;
  readonly annotation: Annotation | undefined;
  readonly children: readonly SchemaNode[];
  /** The definition level of a value that is there: how many nodes on its path may be absent. */
  readonly definition: number;
  /** How many nodes on its path are repeated. */
  readonly repetitions: number;
  /** The columns with values below it, by their index in a row group: from, and up to. */
  readonly firstColumn: number;
  readonly endColumn: number;
}

/** Deeper ones would be no table, but an attack on the stack. Levels fit a byte. */
const DEPTH_MAX = 100;

/** The position in the list of elements, and the number of columns so far. */
interface Progress {
  element: number;
  column: number;
}

/** Makes the tree of a schema. @throws RangeError if it is none. */
export function schemaTree(elements: readonly SchemaElement[]): SchemaNode {
  const progress = { element: 0, column: 0 };
  const root = readNode(elements, undefined, progress);
  if (root.children.length === 0) throw new RangeError('its schema has no columns');
  if (progress.element < elements.length) {
    const more = elements.length - progress.element;
    throw new RangeError(`its schema has ${more} more entries than its groups have fields`);
  }
  return root;
}

function readNode(
  elements: readonly SchemaElement[],
  parent: (SchemaPlace & { readonly depth: number }) | undefined,
  progress: Progress,
): SchemaNode {
  const element = elements[progress.element++];
  if (element === undefined) throw new RangeError('its schema has groups with too few fields');
  const { name, type, typeLength, annotation, childCount } = element;
  // The row itself is there once, whatever its entry says.
  const repetition = parent === undefined ? 'required' : element.repetition;
  const place = placeBelow(parent, name, repetition);
  const depth = (parent?.depth ?? -1) + 1;
  if (depth > DEPTH_MAX) throw new RangeError(`its schema is more than ${DEPTH_MAX} levels deep`);
  checkElement(element, place.path, parent === undefined);
  const firstColumn = progress.column;
  const children: SchemaNode[] = [];
  for (let index = 0; index < childCount; index++) {
    children.push(readNode(elements, { ...place, depth }, progress));
  }
  if (type !== undefined) progress.column++;
  return {
    name,
    ...place,
    repetition,
    type,
    typeLength,
    annotation,
    children,
    firstColumn,
    endColumn: progress.column,
  };
}

type SchemaPlace = Pick<SchemaNode, 'path' | 'definition' | 'repetitions'>;

function placeBelow(
  parent: SchemaPlace | undefined,
  name: string,
  repetition: SchemaNode['repetition'],
): SchemaPlace {
  if (parent === undefined) return { path: '', definition: 0, repetitions: 0 };
  return {
    path: parent.path === '' ? name : `${parent.path}.${name}`,
    definition: parent.definition + (repetition === 'required' ? 0 : 1),
    repetitions: parent.repetitions + (repetition === 'repeated' ? 1 : 0),
  };
}

function checkElement(element: SchemaElement, path: string, isRoot: boolean): void {
  const { type, typeLength, childCount } = element;
  if (type !== undefined && (isRoot || childCount > 0)) {
    throw new RangeError(`its schema gives ${path || 'the row'} both values and fields`);
  }
  if (type === undefined && childCount === 0 && !isRoot) {
    throw new RangeError(`its schema has the group ${path}, without fields`);
  }
  if (type === 'FIXED_LEN_BYTE_ARRAY' && typeLength <= 0) {
    throw new RangeError(`column ${path}: values of a fixed length of ${typeLength} bytes`);
  }
}
