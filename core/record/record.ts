/** One header of a record. Names may repeat; order is kept. */
export interface Header {
  readonly key: string;
  readonly value: Uint8Array | null;
}
/** The headers of a record, in order. */
export type Headers = readonly Header[];

/** The headers of a record that has none. */
export const NO_HEADERS: Headers = [];
