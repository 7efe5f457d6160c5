import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openLog, seededRandom, silentLogger } from '../../core/index.ts';
import { runChild } from '../kit/child.ts';
import { CLIENTS, type ClientName } from './clients.ts';
import type { Run } from './client.ts';

/** From the start of an application to some thousand records later. */
const LIFE_MS_MAX = 700;
/** What is there after one kill in so many is compared, too. */
const LOOK_EVERY = 3;

export interface KillClientOptions extends Run {
  readonly client: ClientName;
  /** An empty directory. */
  readonly directory: string;
  /** Called at each kill. */
  readonly killed?: () => void;
}

/**
 * Runs an application in successive processes that are all killed but the last, and expects that in
 * the end, and after some of the kills, every record of every output is what follows from the
 * input: nothing is lost, repeated, early or made up.
 */
export async function killClient(options: KillClientOptions): Promise<void> {
  const { client, directory, seed, kills, killed = () => undefined } = options;
  const random = seededRandom(seed);
  for (let life = 0; life < kills; life++) {
    const kill = { afterMs: random.next() * LIFE_MS_MAX, since: 'output' as const };
    expect(await live(options, life, kill)).toBe('SIGKILL');
    killed();
    if (life % LOOK_EVERY !== 1) continue;
    // A copy, so that the next process finds what the kill has left.
    const copy = `${directory}-copy`;
    cpSync(join(directory, 'log'), copy, { recursive: true });
    try {
      const { found } = await findings(copy, options, false);
      expect(found, `after kill ${life}`).toEqual([]);
    } finally {
      rmSync(copy, { recursive: true });
    }
  }
  expect(await live(options, kills)).toBe('0');
  const { found, read } = await findings(join(directory, 'log'), options, true);
  expect(found, client).toEqual([]);
  expect(read).toBeGreaterThan(kills * 10); // otherwise nothing was tested
}

async function live(
  { client, directory, seed, kills }: KillClientOptions,
  life: number,
  kill?: Parameters<typeof runChild>[2],
): Promise<string> {
  const args = [directory, client, ...[seed, kills, life].map(String)];
  return (await runChild('test/exactly-once/client-process.ts', args, kill)).how;
}

/** What is wrong, and how many offsets the input has. */
async function findings(
  directory: string,
  { client: name, seed, kills }: KillClientOptions,
  isOver: boolean,
): Promise<{ readonly found: string[]; readonly read: number }> {
  await using log = await openLog(directory, { logger: silentLogger });
  const client = CLIENTS[name]();
  const found = await client.check(log, { seed, kills }, isOver);
  const offsets = await log.admin().offsets(client.input.name);
  return { found, read: offsets.reduce((sum, { latest }) => sum + latest, 0) };
}
