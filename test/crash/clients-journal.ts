import { readFileSync } from 'node:fs';
import { History, type OpenOperation } from '../../core/testing/index.ts';

/** An action or observation of a client. */
export type JournalLine = {
  /** The client, and the number of its operation. */
  readonly name: string;
  readonly id: number;
} & (
  | { readonly event: 'begin'; readonly isTransaction?: boolean }
  | { readonly event: 'committing' | 'ok' | 'failed' }
  | { readonly event: 'acknowledged'; readonly value: string; readonly offset: number }
  | {
      readonly event: 'sent' | 'polled';
      readonly topic: string;
      readonly partition: number;
      readonly value: string;
      readonly offset?: number;
    }
);

/** A kill may truncate the last line of a life, which then ends in `TORN` and is skipped. */
export function readJournal(file: string): JournalLine[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  const whole = lines.filter((line) => line !== '' && !line.endsWith(TORN));
  return whole.map((line) => JSON.parse(line) as JournalLine);
}

/** The start of each life's part of the journal. */
export const TORN = '#';

/** Reads the history from a journal. */
export function historyOf(journal: readonly JournalLine[]): History {
  const history = new History();
  const offsets = new Map<string, number>();
  for (const line of journal) {
    if (line.event === 'acknowledged') offsets.set(line.value, line.offset);
  }
  const open = new Map<string, OpenOperation>();
  for (const line of journal) {
    const key = `${line.name} ${line.id}`;
    if (line.event === 'begin') {
      const isTransaction = line.isTransaction ?? false;
      open.set(key, history.begin(line.name, { isTransaction }));
      continue;
    }
    const operation = open.get(key);
    if (operation === undefined) throw new TypeError(`${key} was never begun`);
    if (line.event === 'committing') operation.committing();
    else if (line.event === 'ok' || line.event === 'failed') operation.end(line.event);
    else if (line.event === 'polled') operation.polled(line);
    else if (line.event === 'sent') {
      const offset = offsets.get(line.value);
      operation.sent({ ...line, ...(offset !== undefined && { offset }) });
    }
  }
  return history;
}
