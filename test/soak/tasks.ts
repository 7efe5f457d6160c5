import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ALL_SCRIPTS, crashEverywhere, crashOpenings } from '../../core/log/crashes.suite.ts';
import { simulateJournal } from '../../core/log/journal-simulation.suite.ts';
import { killClients } from '../crash/kill-clients.ts';
import type { ClientName } from '../exactly-once/clients.ts';
import { killClient } from '../exactly-once/kill-client.ts';
import { simulate } from '../simulation/run.ts';

/** Tasks that are repeated, each time with a new seed. */
export type Kind = 'log' | 'opening' | 'journal' | 'clients' | 'kills' | 'applications';

/** Some seconds of work, for one worker. */
export interface Task {
  readonly kind: Kind;
  readonly seed: number;
  /** For `log` and `opening`: the index of the script. */
  readonly script?: number;
  /** For `kills` and `applications`. */
  readonly kills?: number;
  /** For `applications`. */
  readonly client?: ClientName;
}

/** How many outcomes of a power cut are tested after each operation of a script. */
const OUTCOMES = 20;
/** One in this many crashes is opened with a crash at each operation of the opening. */
const SAMPLE = 100;
const LIVES = 30;

export const SCRIPT_COUNT = ALL_SCRIPTS.length;

const LOG_OPTIONS = { outcomes: OUTCOMES, sample: SAMPLE };

/** Performs a task; returns how many crashes it simulated. Calls `killed` at each kill. */
export async function perform(task: Task, killed: () => void): Promise<number> {
  const { seed } = task;
  switch (task.kind) {
    case 'log':
      return crashEverywhere(ALL_SCRIPTS[task.script ?? 0]!, { seed, ...LOG_OPTIONS });
    case 'opening':
      return crashOpenings(ALL_SCRIPTS[task.script ?? 0]!, { seed, ...LOG_OPTIONS });
    case 'journal':
      return simulateJournal(seed);
    case 'clients': {
      const { world, anomalies } = await simulate(seed, LIVES);
      if (anomalies.length > 0) throw new Error(JSON.stringify(anomalies));
      return world.crashCount;
    }
    case 'kills':
      await inDirectory((directory) =>
        killClients({ directory, seed, kills: task.kills ?? 1, killed }),
      );
      return 0;
    case 'applications': {
      const { kills = 1, client = 'eos' } = task;
      await inDirectory((directory) => killClient({ client, directory, seed, kills, killed }));
      return 0;
    }
  }
}

/** Gives `work` a directory, which stays after a failure. */
async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-soak-'));
  await work(directory).catch((cause: unknown) => {
    throw new Error(`${String(cause)}; what is left is in ${directory}`, { cause });
  });
  rmSync(directory, { recursive: true });
}

/** The command that repeats only this task. */
export function commandFor({ kind, seed, script, kills, client }: Task): string {
  const name = ALL_SCRIPTS[script ?? 0]!.name;
  switch (kind) {
    case 'log':
    case 'opening': {
      const title = kind === 'log' ? `${name}.*any crash` : `${name}.*so does`;
      const settings = `SIM_SEED=${seed} SIM_OUTCOMES=${OUTCOMES} SIM_SAMPLE=${SAMPLE}`;
      return `${settings} npx vitest run core/log/simulation.test.ts -t '${title}'`;
    }
    case 'journal':
      return `SIM_SEED=${seed} SIM_JOURNALS=1 npx vitest run core/log/journal-simulation.test.ts`;
    case 'clients':
      return (
        `SIM_SEED=${seed} SIM_RUNS=1 SIM_LIVES=${LIVES} ` +
        'npx vitest run test/simulation/simulation.test.ts'
      );
    case 'kills':
      return `SEED=${seed} KILLS=${kills ?? 1} npx vitest run test/crash/clients.test.ts`;
    case 'applications': {
      const settings = `SEED=${seed} KILLS=${kills ?? 1}`;
      const file = 'test/exactly-once/exactly-once.test.ts';
      return `${settings} npx vitest run ${file} -t 'application ${client},'`;
    }
  }
}
