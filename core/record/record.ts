/** One header of a record. Names may repeat; order is kept. */
export interface Header {
  readonly key: string;
  readonly value: Uint8Array | null;
}
export type Headers = readonly Header[];

export const NO_HEADERS: Headers = [];
