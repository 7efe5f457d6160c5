import type { SourceRelation } from './sql-connection.ts';
import { quoteName, quoteTable } from './sql-text.ts';

/** What differs between databases in the queries of sources. */
export interface PageDialect {
  /** The parameter of a number, from 1 on. */
  mark(index: number): string;
  /** A column as the source remembers it. */
  placeOf(column: string): string;
  /** A condition for columns that are so old; undefined for any age. */
  aged: ((column: string) => string) | undefined;
}

/** The name that the relation has in the query, unlikely to be in it already. */
const ROWS = '"millrace_rows"';

/** The FROM of what a source reads. */
export function fromText({ from }: SourceRelation): string {
  return 'table' in from ? `${quoteTable(from.table)} AS ${ROWS}` : `(${from.query}\n) AS ${ROWS}`;
}

/** A column of what a source reads. */
function columnText(column: string): string {
  return `${ROWS}.${quoteName(column)}`;
}

/**
 * The query for a page. Behind the columns of the relation come the place of the row: the
 * incrementing column, and the timestamp if there is one. The parameters are the timestamp, if
 * there is one, and the incrementing column of the place before.
 */
export function pageQuery(
  relation: SourceRelation,
  dialect: PageDialect,
  page: { readonly hasPlace: boolean; readonly limit: number },
): string {
  const { incrementing, timestamp } = relation;
  const from = fromText(relation);
  if (incrementing === undefined) return `SELECT ${ROWS}.* FROM ${from}`;
  const order = [timestamp, incrementing].filter((name) => name !== undefined).map(columnText);
  const marks = order.map((_, index) => dialect.mark(index + 1));
  const places = [...order].reverse().map((column) => dialect.placeOf(column));
  const conditions = [
    ...order.map((column) => `${column} IS NOT NULL`),
    ...(page.hasPlace ? [`(${order.join(', ')}) > (${marks.join(', ')})`] : []),
    ...(timestamp !== undefined && dialect.aged !== undefined
      ? [dialect.aged(columnText(timestamp))]
      : []),
  ];
  return (
    `SELECT ${ROWS}.*, ${places.join(', ')} FROM ${from} ` +
    `WHERE ${conditions.join(' AND ')} ORDER BY ${order.join(', ')} LIMIT ${page.limit}`
  );
}
