import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../core/index.ts';
import { checkHistory } from '../../core/testing/index.ts';
import { runChild } from '../kit/child.ts';
import { SEED } from '../kit/seed.ts';
import { temporaryDirectory } from '../kit/temporary-directory.ts';
import { historyOf, readJournal, type JournalLine } from './clients-journal.ts';

/** How often the clients are killed; `npm run soak` does it a thousand times. */
const KILLS = Number(process.env['KILLS'] ?? 30);
/** So many on one log; then another one is begun, since what is there is read in each life. */
const KILLS_A_LOG = 30;
/** From before the log is open to some thousand records. */
const LIFE_MS_MAX = 800;

const script = new URL('./clients-process.ts', import.meta.url);

async function live(args: readonly string[], killAfterMs?: number): Promise<string> {
  const kill =
    killAfterMs === undefined ? undefined : { afterMs: killAfterMs, since: 'output' as const };
  return (await runChild(script, args, kill)).how;
}

function valuesOf(journal: readonly JournalLine[], name: string, topic: string): string[] {
  return journal.flatMap((line) =>
    line.event === 'polled' && line.name === name && line.topic === topic ? [line.value] : [],
  );
}

test(
  `[CHECK-4] producers, transactions and groups, killed ${KILLS} times (seed ${SEED})`,
  async () => {
    const random = seededRandom(SEED);
    for (let killed = 0; killed < KILLS;) {
      const directory = temporaryDirectory();
      for (let life = 0; life < KILLS_A_LOG && killed < KILLS; life++, killed++) {
        const lifeMs = random.next() * LIFE_MS_MAX;
        expect(await live([directory, String(life)], lifeMs)).toBe('SIGKILL');
      }
      expect(await live([directory, String(KILLS_A_LOG), 'drain'])).toBe('0');

      const journal = readJournal(join(directory, 'journal.jsonl'));
      const history = historyOf(journal);
      expect(history.operations.length).toBeGreaterThan(50); // else nothing was tested
      expect(checkHistory(history, { isComplete: true })).toEqual([]);
      // What was read of the input at the end was copied, each record once.
      const reader = `${KILLS_A_LOG}-reader`;
      const read = valuesOf(journal, reader, 'input').map((value) => `copy of ${value}`);
      expect(valuesOf(journal, reader, 'output').sort()).toEqual(read.sort());
    }
  },
  KILLS * 10_000,
);
