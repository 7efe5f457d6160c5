/** Something in a data directory that is not as it should be. */
export interface Problem {
  /**
   * A `note` is what a crash may leave, and what the next opening mends by itself; it does not make
   * a directory bad.
   */
  readonly severity: 'problem' | 'note';
  readonly file: string;
  /** Where in the file, in bytes. */
  readonly positionBytes?: number;
  /** The first offset that it concerns. */
  readonly offset?: number;
  /** What was found. */
  readonly what: string;
  /** What that means, and what to do. */
  readonly meaning: string;
}

/** Bytes of a file that are to give way to others. */
export interface Edit {
  readonly start: number;
  /** The first byte behind. */
  readonly end: number;
  /** Empty where nothing comes in their place. */
  readonly replacement: Buffer;
}

/** What `repairLog` does about a problem. Each can be done again after it was done in part. */
export type Mend =
  /** The file is moved away: what opens the log makes it again, or does without. */
  | { readonly kind: 'remove'; readonly file: string }
  /** The file gets this content. */
  | { readonly kind: 'write'; readonly file: string; readonly content: Buffer }
  /** A stretch of a segment's file is replaced. */
  | { readonly kind: 'edit'; readonly file: string; readonly edit: Edit }
  /** The offset and the time index of a segment are made again. */
  | { readonly kind: 'reindex'; readonly file: string; readonly intervalBytes: number };

/** A problem with what can be done about it. */
export interface Finding extends Problem {
  readonly mends: readonly Mend[];
}

/** Ends what a problem means, where something can be done. */
export const REPAIR = '`millrace repair` does that.';

/** The file of a problem and the place in it, as messages name them. */
export function placeOf({ file, positionBytes, offset }: Problem): string {
  const at = positionBytes === undefined ? '' : ` at byte ${positionBytes}`;
  return offset === undefined ? file + at : `${file}${at}, offset ${offset}`;
}
