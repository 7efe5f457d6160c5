/** A fault in a data directory. */
export interface Problem {
  /**
   * A `note` is a trace of a crash that the next opening mends by itself; it does not make a
   * directory bad.
   */
  readonly severity: 'problem' | 'note';
  readonly file: string;
  /** The byte position in the file. */
  readonly positionBytes?: number;
  /** The first offset that it concerns. */
  readonly offset?: number;
  /** The fault. */
  readonly what: string;
  /** Its consequences, and what to do. */
  readonly meaning: string;
}

/** A replacement of bytes in a file. */
export interface Edit {
  readonly start: number;
  /** The first byte after them. */
  readonly end: number;
  /** Empty to remove them. */
  readonly replacement: Buffer;
}

/** A repair of a problem by `repairLog`. Each can be repeated after it was done in part. */
export type Mend =
  /** The file is moved away: the next opening recreates it, or does without. */
  | { readonly kind: 'remove'; readonly file: string }
  /** The file gets this content. */
  | { readonly kind: 'write'; readonly file: string; readonly content: Buffer }
  /** A stretch of a segment's file is replaced. */
  | { readonly kind: 'edit'; readonly file: string; readonly edit: Edit }
  /** The offset and the time index of a segment are rebuilt. */
  | { readonly kind: 'reindex'; readonly file: string; readonly intervalBytes: number };

/** A problem and its repair. */
export interface Finding extends Problem {
  readonly mends: readonly Mend[];
}

/** The last sentence of a problem that can be repaired. */
export const REPAIR = '`millrace repair` does that.';

/** The file and position of a problem, as messages name them. */
export function placeOf({ file, positionBytes, offset }: Problem): string {
  const at = positionBytes === undefined ? '' : ` at byte ${positionBytes}`;
  return offset === undefined ? file + at : `${file}${at}, offset ${offset}`;
}
