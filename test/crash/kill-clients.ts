import { join } from 'node:path';
import { expect } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { checkHistory } from '../../core/testing/index.ts';
import { runChild } from '../kit/child.ts';
import { historyOf, readJournal, type JournalLine } from './clients-journal.ts';

/** So many on one log; then another one is begun, since what is there is read in each life. */
export const KILLS_A_LOG = 30;
/** From before the log is open to some thousand records. */
const LIFE_MS_MAX = 800;

export interface KillOptions {
  /** An empty directory, for the log and the journal of the clients. */
  readonly directory: string;
  readonly seed: number;
  readonly kills: number;
  /** Hears of each kill. */
  readonly killed?: () => void;
}

/**
 * Runs clients of all kinds on one log, in one process after the other, each of which is killed.
 * Expects that nothing is lost, repeated or made up in the end.
 */
export async function killClients({
  directory,
  seed,
  kills,
  killed = () => undefined,
}: KillOptions): Promise<void> {
  const random = seededRandom(seed);
  for (let life = 0; life < kills; life++) {
    const afterMs = random.next() * LIFE_MS_MAX;
    expect(await live([directory, String(life)], afterMs)).toBe('SIGKILL');
    killed();
  }
  expect(await live([directory, String(kills), 'drain'])).toBe('0');

  const journal = readJournal(join(directory, 'journal.jsonl'));
  const history = historyOf(journal);
  expect(history.operations.length).toBeGreaterThan(50); // else nothing was tested
  expect(checkHistory(history, { isComplete: true })).toEqual([]);
  // What was read of the input at the end was copied, each record once.
  const reader = `${kills}-reader`;
  const read = valuesOf(journal, reader, 'input').map((value) => `copy of ${value}`);
  expect(valuesOf(journal, reader, 'output').sort()).toEqual(read.sort());
}

async function live(args: readonly string[], killAfterMs?: number): Promise<string> {
  const kill =
    killAfterMs === undefined ? undefined : { afterMs: killAfterMs, since: 'output' as const };
  return (await runChild(new URL('./clients-process.ts', import.meta.url), args, kill)).how;
}

function valuesOf(journal: readonly JournalLine[], name: string, topic: string): string[] {
  return journal.flatMap((line) =>
    line.event === 'polled' && line.name === name && line.topic === topic ? [line.value] : [],
  );
}
