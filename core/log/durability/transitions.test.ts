import { describe, expect, test } from 'vitest';
import { checkEach } from '../../../test/kit/check-each.ts';
import { seededRandom } from '../../random.ts';
import { MemoryFileSystem } from '../../storage/memory-fs.ts';
import type { Fault, Operation, OperationKind } from '../../storage/memory-operations.ts';
import { checkRecovered, Run, type Script } from '../simulation.suite.ts';
import type { DurabilityState } from './states.ts';

/*
 * Each fault in each state of docs/internals/durability.md: brings a log into the state; then the
 * disk fails, or the log is closed or abandoned, while it is used. Every call must end, a crash at
 * any moment must leave what was promised, and the faults must explain the state.
 */

const FIRST_SEED = Number(process.env['SIM_SEED'] ?? 1);
const SEEDS = Number(process.env['SIM_TRANSITIONS'] ?? 2);
/** After this many turns of the event loop a call hangs. An opening takes about 100. */
const TURNS_MAX = 5000;

const turn = () => new Promise((resolve) => setImmediate(resolve));
const ofLog = (kind: OperationKind) => (operation: Operation) =>
  operation.kind === kind && operation.path.includes('/test-0');
const ofJournal = (kind: OperationKind) => (operation: Operation) =>
  operation.kind === kind && operation.path.includes('journal');

const WRITE: Fault = { at: ofLog('write'), code: 'EIO', writtenBytes: 60 };
const NO_ROOM: Fault = { at: ofLog('write'), code: 'ENOSPC', writtenBytes: 60 };
const NO_ROOM_TO_CUT: Fault = { at: ofLog('truncate'), code: 'ENOSPC' };
const SYNC: Fault = { at: ofLog('sync'), code: 'EIO' };

/** The event in a state. */
const ARROWS: Record<string, readonly Fault[]> = {
  'nothing fails': [],
  'a write fails': [WRITE],
  'a write finds no room': [NO_ROOM],
  'a write finds no room, and the cut neither': [NO_ROOM, NO_ROOM_TO_CUT],
  'a write fails, and the cut': [WRITE, { at: ofLog('truncate'), code: 'EIO' }],
  'a write fails, and the loading': [WRITE, { at: ofLog('list'), code: 'EIO' }],
  'a sync fails': [SYNC],
  'a sync finds no room': [{ ...SYNC, code: 'ENOSPC' }],
  'a sync of names fails': [{ at: ofLog('syncDirectory'), code: 'EIO' }],
  'a write and a sync fail': [WRITE, SYNC],
  'a file cannot be made': [{ at: ofLog('create'), code: 'ENOSPC' }],
  'a name cannot be changed': [{ at: ofLog('rename'), code: 'EIO' }],
  'the journal cannot be written': [{ at: ofJournal('write'), code: 'EIO' }],
  'the journal cannot be synced': [{ at: ofJournal('sync'), code: 'EIO' }],
};

type Place = DurabilityState | 'full, not loaded';
const PLACES: readonly Place[] = [
  'open',
  'reloading',
  'full',
  'full, not loaded',
  'dead',
  'closing',
  'closed',
];

const ENDS = ['goes on', 'is closed', 'is abandoned'] as const;

const SCRIPT = { name: 'transitions', config: { segmentBytes: 600 }, isFaulty: true, steps: [] };
const PRODUCER = { producerId: 1 };

/** A log in a state, under a fault. */
class Case {
  readonly fileSystem: MemoryFileSystem;
  readonly run: Run;
  readonly #script: Script;
  readonly #calls: Promise<unknown>[] = [];

  constructor(seed: number, hasJournal: boolean) {
    this.#script = { ...SCRIPT, hasJournal };
    this.fileSystem = new MemoryFileSystem({ random: seededRandom(seed) });
    this.run = new Run(this.fileSystem, this.#script, seed);
  }

  get state(): DurabilityState {
    return this.run.log.state;
  }

  /** Brings a log that has content into a state. */
  async enter(place: Place): Promise<void> {
    const { run } = this;
    await run.open();
    for (let count = 0; count < 4; count++) {
      run.append(1, PRODUCER);
      await run.sync();
    }
    await run.checkpoint();
    if (place === 'reloading') await this.#breakWrite(WRITE);
    if (place.startsWith('full')) await this.#breakWrite(NO_ROOM);
    if (place === 'full') await this.#until(() => this.state === 'full');
    if (place === 'full, not loaded') {
      run.fail(NO_ROOM_TO_CUT);
      await this.#until(() => this.state === 'full');
    }
    if (place === 'dead') {
      run.append(1, PRODUCER);
      run.fail(SYNC);
      await run.attempt(() => run.log.flush(run.log.nextOffset));
    }
    if (place === 'closing' || place === 'closed') {
      run.append(1, PRODUCER);
      this.#call(() => run.host!.close());
      await this.#until(() => this.state === place);
    }
    expect(this.state).toBe(place === 'full, not loaded' ? 'full' : place);
  }

  /** Uses the log in every way, in a seeded order. */
  async use(): Promise<void> {
    const { run } = this;
    const { random, log, host } = run;
    const ways: (() => unknown)[] = [
      () => run.append(1, PRODUCER),
      () => run.append(2, { producerId: 2, isTransactional: true }),
      () => run.append(3),
      () => this.#call(() => run.sync()),
      () => this.#call(() => log.flush(log.highWatermark)),
      () => this.#call(() => run.checkpoint()),
      () => this.#call(() => run.deleteRecords(log.logStartOffset + 2)),
      () => this.#call(() => log.read(log.logStartOffset, { endOffset: 1e9, maxBytes: 300 })),
    ];
    for (let count = 0; count < 14; count++) {
      const way = ways[Math.floor(random.next() * ways.length)]!;
      await run.attempt(async () => way());
      for (let turns = Math.floor(random.next() * 4); turns > 0; turns--) await turn();
    }
    expect(host).toBe(run.host);
  }

  /** Collects the states that crashes would leave from here on, and checks them. */
  crashes(): { readonly check: () => Promise<void> } {
    const checks: (() => Promise<void>)[] = [];
    const { fileSystem, run } = this;
    fileSystem.onOperation = ({ number, kind }) => {
      const isTaken = !['read', 'open', 'close', 'stat', 'list', 'size'].includes(kind);
      if (!isTaken || number % 7 !== 0) return;
      const expected = { script: this.#script, promised: run.promised(), attempts: run.attempts };
      const killed = fileSystem.kill(seededRandom(number));
      const cut = fileSystem.crash(seededRandom(number));
      checks.push(() => checkRecovered(killed, { ...expected, isKill: true }));
      checks.push(() => checkRecovered(cut, { ...expected, isKill: false }));
    };
    return {
      check: async () => {
        await Promise.all(checks.map((check) => check()));
      },
    };
  }

  /** Checks that every call ends. */
  async end(end: (typeof ENDS)[number]): Promise<void> {
    const { run } = this;
    if (end === 'is closed') this.#call(() => run.host!.close());
    if (end === 'is abandoned') this.#call(() => run.host!.abandon());
    await this.#ends();
    await this.#until(() => this.state !== 'reloading');
  }

  /** Checks that a log which is not dead continues, by itself or with the next append. */
  async goesOn(): Promise<void> {
    const { run } = this;
    for (let attempt = 0; attempt < 4; attempt++) {
      const before = run.codes.length;
      const { nextOffset } = run.log;
      this.#call(async () => {
        run.append(1, PRODUCER);
        await run.sync();
      });
      await this.#ends();
      await this.#until(() => this.state !== 'reloading');
      if (run.codes.length > before) continue;
      expect(run.log.durableOffset).toBe(nextOffset + 1);
      expect(this.state).toBe('open');
      return;
    }
    throw new Error(`it does not go on: ${run.codes.join()}`);
  }

  /** Closes the files; none stays open. */
  async giveBack(): Promise<void> {
    const { run, fileSystem } = this;
    this.#call(() => run.host!.abandon());
    await this.#ends();
    run.clock.advance(100_000);
    await this.#until(() => fileSystem.openFileCount === 0);
    const allowed = ['KAFKA_STORAGE_ERROR', 'DISK_FULL', 'CLOSED', 'OFFSET_OUT_OF_RANGE'];
    expect(run.codes.filter((code) => !allowed.includes(code))).toEqual([]);
  }

  async #breakWrite(fault: Fault): Promise<void> {
    const { run } = this;
    const { log } = run;
    run.fail(fault);
    run.append(1, PRODUCER);
    await this.#until(() => log.state !== 'open');
  }

  #call(call: () => Promise<unknown>): void {
    this.#calls.push(this.run.attempt(call));
  }

  async #ends(): Promise<void> {
    let isEnded = false;
    const ended = Promise.all([...this.#calls, this.run.written()]).then(() => (isEnded = true));
    await this.#until(() => isEnded);
    await ended;
  }

  async #until(isTrue: () => boolean): Promise<void> {
    for (let turns = 0; turns < TURNS_MAX; turns++) {
      if (isTrue()) return;
      await turn();
    }
    throw new Error(`it hangs in state ${this.state}`);
  }
}

async function play(seed: number, place: Place, arrow: string, end: (typeof ENDS)[number]) {
  const one = new Case(seed, seed % 2 === 1);
  await one.enter(place);
  const crashes = one.crashes();
  let hasSyncFailed = place === 'dead';
  const clear = ARROWS[arrow]!.map((fault) => {
    const isOfSync = /sync/.test(arrow) && !/journal/.test(arrow);
    const at = (operation: Operation) => {
      const fails = typeof fault.at === 'function' && fault.at(operation);
      const isSync = operation.kind === 'sync' || operation.kind === 'syncDirectory';
      // The content of an index can be rebuilt: only names and batches can be lost.
      const isOfBatches = operation.kind !== 'sync' || operation.path.endsWith('.log');
      if (fails && isOfSync && isSync && isOfBatches) hasSyncFailed = true;
      return fails;
    };
    return one.fileSystem.fail({ ...fault, at });
  });
  await one.use();
  await one.end(end);
  for (const each of clear) each(); // unused faults
  one.fileSystem.onOperation = undefined;
  const isOver = end !== 'goes on' || place === 'closing' || place === 'closed';
  if (isOver) expect(one.state).toBe('closed');
  else if (hasSyncFailed) expect(one.state).toBe('dead');
  else if (one.state !== 'dead') await one.goesOn();
  else expect(arrow).toMatch(/the cut|the loading|names/); // the reload has failed
  await one.giveBack();
  await crashes.check();
}

const seeds = Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index);

describe.each(PLACES)('in the state %s', (place) => {
  test.each(Object.keys(ARROWS))(
    `[LOG-29] %s, seeds ${FIRST_SEED} to ${FIRST_SEED + SEEDS - 1}`,
    { timeout: 60_000 + SEEDS * 20_000 },
    async (arrow) => {
      const cases = seeds.flatMap((seed) => ENDS.map((end) => ({ seed, end })));
      await checkEach(cases, async ({ seed, end }) => {
        await play(seed, place, arrow, end).catch((cause: unknown) => {
          throw new Error(`seed ${seed}, ${end}: ${String(cause)}`, { cause });
        });
      });
    },
  );
});
