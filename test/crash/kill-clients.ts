import { join } from 'node:path';
import { expect } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { checkHistory } from '../../core/testing/index.ts';
import { runChild } from '../kit/child.ts';
import { historyOf, readJournal, type JournalLine } from './clients-journal.ts';

/** Kills per log; then a new log starts, since each life reads the whole log. */
export const KILLS_A_LOG = 30;
/** From before the log is open to some thousand records later. */
const LIFE_MS_MAX = 800;

export interface KillOptions {
  /** An empty directory, for the log and the journal of the clients. */
  readonly directory: string;
  readonly seed: number;
  readonly kills: number;
  /** Called at each kill. */
  readonly killed?: () => void;
}

/**
 * Runs clients of all kinds on one log, in successive processes that are all killed. Expects that
 * in the end nothing is lost, repeated or made up.
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
  expect(history.operations.length).toBeGreaterThan(50); // otherwise nothing was tested
  expect(checkHistory(history, { isComplete: true })).toEqual([]);
  // All input read at the end was copied, each record once.
  const reader = `${kills}-reader`;
  const read = valuesOf(journal, reader, 'input').map((value) => `copy of ${value}`);
  expect(valuesOf(journal, reader, 'output').sort()).toEqual(read.sort());
}

async function live(args: readonly string[], killAfterMs?: number): Promise<string> {
  const kill =
    killAfterMs === undefined ? undefined : { afterMs: killAfterMs, since: 'output' as const };
  return (await runChild('test/crash/clients-process.ts', args, kill)).how;
}

function valuesOf(journal: readonly JournalLine[], name: string, topic: string): string[] {
  return journal.flatMap((line) =>
    line.event === 'polled' && line.name === name && line.topic === topic ? [line.value] : [],
  );
}
