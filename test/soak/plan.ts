import type { Kind, Task } from './tasks.ts';

/** Seeds of journal runs for each seed of the log: a journal run takes about a tenth as long. */
const JOURNALS = 10;

/** Endless simulations: all kinds with one seed, then with the next. */
export function* simulations(firstSeed: number, scripts: number): Generator<Task, never> {
  for (let seed = firstSeed; ; seed++) {
    yield { kind: 'clients', seed };
    for (let script = 0; script < scripts; script++) {
      yield { kind: 'log', seed, script };
      yield { kind: 'opening', seed, script };
    }
    for (let index = 0; index < JOURNALS; index++) {
      yield { kind: 'journal', seed: seed * JOURNALS + index };
    }
  }
}

/** Kills on one log, at most; as in test/crash/clients.test.ts. */
const KILLS_A_LOG = 30;
/** The same of applications: a look at all their results costs more with every life. */
const APPLICATION_KILLS_A_LOG = 20;

/** Tasks with this many kills in all. */
export function* kills(firstSeed: number, wanted: number): Generator<Task> {
  for (const [seed, count] of shares(firstSeed, wanted, KILLS_A_LOG)) {
    yield { kind: 'kills', seed, kills: count };
  }
}

/** Tasks with this many kills of applications in all, of each client in turn. */
export function* applicationKills(firstSeed: number, wanted: number): Generator<Task> {
  const clients = ['smoke', 'eos-repartitioned', 'eos'] as const;
  for (const [seed, count] of shares(firstSeed, wanted, APPLICATION_KILLS_A_LOG)) {
    const client = clients[seed % clients.length]!;
    yield { kind: 'applications', seed, kills: count, client };
  }
}

/** Seeds with equal shares: only a few kills on the last log would show little. */
function* shares(firstSeed: number, wanted: number, most: number): Generator<[number, number]> {
  let left = wanted;
  for (let seed = firstSeed; left > 0; seed++) {
    const count = Math.ceil(left / Math.ceil(left / most));
    yield [seed, count];
    left -= count;
  }
}

/** Done so far. */
export class Tally {
  readonly #kinds = new Map<
    Kind,
    { tasks: number; crashes: number; cpuMs: number; firstSeed: number; lastSeed: number }
  >();
  /** By the kind of their task. */
  readonly #kills = new Map<Kind, number>();

  killed(kind: Kind): void {
    this.#kills.set(kind, this.#killsOf(kind) + 1);
  }

  get kills(): number {
    return [...this.#kills.values()].reduce((sum, each) => sum + each, 0);
  }

  get crashes(): number {
    return [...this.#kinds.values()].reduce((sum, { crashes }) => sum + crashes, 0);
  }

  add({ kind, seed }: Task, crashes: number, cpuMs: number): void {
    const sum = this.#kinds.get(kind) ?? {
      ...{ tasks: 0, crashes: 0, cpuMs: 0, firstSeed: seed, lastSeed: seed },
    };
    sum.tasks++;
    sum.crashes += crashes;
    sum.cpuMs += cpuMs;
    sum.firstSeed = Math.min(sum.firstSeed, seed);
    sum.lastSeed = Math.max(sum.lastSeed, seed);
    this.#kinds.set(kind, sum);
  }

  /** In one line. */
  brief(): string {
    return `${count(this.crashes)} simulated crashes, ${count(this.kills)} kills`;
  }

  /** One line per kind. */
  table(): string[] {
    const lines: string[] = [];
    for (const [kind, { crashes, cpuMs, firstSeed, lastSeed }] of this.#kinds) {
      const seeds = `seeds ${firstSeed} to ${lastSeed}`;
      if (this.#kills.has(kind)) {
        const killed = count(this.#killsOf(kind)).padStart(11);
        lines.push(`  ${NAMES[kind].padEnd(NAME_COLUMNS)} ${killed}  ${seeds}`);
        continue;
      }
      const seconds = cpuMs / 1000;
      const rate = `${Math.round(crashes / seconds)} per CPU second, of ${Math.round(seconds)}`;
      const name = NAMES[kind].padEnd(NAME_COLUMNS);
      lines.push(`  ${name} ${count(crashes).padStart(11)}  ${seeds}, ${rate}`);
    }
    return lines;
  }

  #killsOf(kind: Kind): number {
    return this.#kills.get(kind) ?? 0;
  }
}

const NAMES: Readonly<Record<Kind, string>> = {
  log: 'one log, after any operation',
  opening: 'one log, while it opens',
  journal: 'partitions that share a journal',
  clients: 'clients of all kinds on a whole log',
  kills: 'kills of real clients',
  applications: 'kills of real stream applications',
};
const NAME_COLUMNS = Math.max(...Object.values(NAMES).map(({ length }) => length));

function count(value: number): string {
  return value.toLocaleString('en');
}
