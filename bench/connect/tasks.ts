/** How rows stand in a file, or what is done with them. */
export type Shape = 'lines' | 'jsonl' | 'jsonl parsed' | 'csv' | 'parquet';

/** What one process has to do. */
export type Task =
  | { readonly kind: 'source'; readonly from: Shape }
  /** Fills the topic that a sink reads; not measured. */
  | { readonly kind: 'fill'; readonly from: Shape }
  | { readonly kind: 'sink'; readonly to: Shape }
  /** A source and a sink on one log, both exactly once: file to file. */
  | { readonly kind: 'copy'; readonly from: Shape; readonly to: Shape }
  /** readline, JSON.parse, JSON.stringify and a stream into a file: no log, no sync. */
  | { readonly kind: 'naive' }
  /** DuckDB's COPY into JSON lines: no log, no sync. */
  | { readonly kind: 'duckdb'; readonly from: Shape }
  /** Reads many files, looks at them again in another run, or follows them. */
  | { readonly kind: 'files'; readonly step: 'first' | 'again' | 'follow' };

/** What a process is told: the task, what it reads, and a directory for what it writes. */
export interface Order {
  readonly task: Task;
  /** A file, or a pattern. */
  readonly input: string;
  readonly directory: string;
}

/** What it reports, as a line of JSON on its stdout. */
export interface Report {
  readonly milliseconds: number;
  /** Of all threads of the process, and of the system for it. */
  readonly processorMs: number;
  /** Records that were committed; undefined if that is not counted. */
  readonly records?: number | undefined;
  /** The most memory that the process had: VmHWM, in MB of 1,000,000 bytes. */
  readonly peakMb: number;
}

/** Each record has the same bytes in all runs; every 20th is not ASCII. About 160 bytes. */
export function rowOf(index: number) {
  return {
    id: index,
    at: new Date(Date.UTC(2024, 0, 1) + index * 37).toISOString(),
    user: `user-${(Math.imul(index, 0x9e3779b1) >>> 12) % 100_000}`,
    action: index % 3 === 0 ? 'purchase' : 'view',
    amount: (index % 100_000) / 100,
    tags: ['a', `t${index % 50}`],
    isNew: index % 7 === 0,
    note: index % 20 === 0 ? 'größer, wie gewünscht' : 'some words for it',
  };
}

export type Row = ReturnType<typeof rowOf>;

/** The columns of CSV: a list has no place there. */
export function csvLineOf({ id, at, user, action, amount, tags, isNew, note }: Row): string {
  const quoted = note.includes(',') ? `"${note}"` : note;
  return `${id},${at},${user},${action},${amount},${tags.join(' ')},${isNew},${quoted}`;
}

export const CSV_HEADER = 'id,at,user,action,amount,tags,isNew,note';
