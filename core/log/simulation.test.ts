import { describe, expect, test } from 'vitest';
import { checkEach } from '../../test/kit/check-each.ts';
import { expectSame } from '../../test/kit/quick-expect.ts';
import { shareOf } from '../../test/kit/share.ts';
import { seededRandom } from '../random.ts';
import { MemoryFileSystem, type MemoryFileSystemOptions } from '../storage/memory-fs.ts';
import type { Fault, Operation, OperationKind } from '../storage/memory-operations.ts';
import { ALL_SCRIPTS, crashEverywhere, crashOpenings } from './crashes.suite.ts';
import { SCRIPTS } from './simulation-scripts.suite.ts';
import { checkRecovered, Run, type Script } from './simulation.suite.ts';

const RUN_SEED = Number(process.env['SIM_SEED'] ?? 1);
/** Each test takes a second or two on an idle machine. */
const TIMEOUT_MS = 120_000;
/** Power cuts to try after each operation. */
const OUTCOMES = Number(process.env['SIM_OUTCOMES'] ?? 1);
/** One in this many crashes is opened with a crash at each operation of the opening. */
const SAMPLE = Number(process.env['SIM_SAMPLE'] ?? 80);
/** Tried failures of a script; there are some 300. */
const FAULTS_MAX = 120;
/** Between the sizes of a disk that fills up; a batch of the scripts is about as large. */
const STEP_BYTES = Number(process.env['SIM_STEP'] ?? 111);

async function play(script: Script, options: MemoryFileSystemOptions = {}, fault?: Fault) {
  const fileSystem = new MemoryFileSystem({ random: seededRandom(RUN_SEED), ...options });
  if (fault !== undefined) fileSystem.fail(fault);
  const run = new Run(fileSystem, script, RUN_SEED);
  await run.play();
  return { fileSystem, run };
}

describe(`[LOG-20] seed ${RUN_SEED}`, { timeout: TIMEOUT_MS }, () => {
  const crashing = { seed: RUN_SEED, outcomes: OUTCOMES };

  test.each(ALL_SCRIPTS)('[LOG-20] $name: any crash leaves what was promised', async (script) => {
    expect(await crashEverywhere(script, crashing)).toBeGreaterThan(0);
  });

  test.each(ALL_SCRIPTS)('[LOG-20] $name: so does a crash of the opening', async (script) => {
    expect(await crashOpenings(script, { ...crashing, sample: SAMPLE })).toBeGreaterThan(0);
  });
});

/** The possible error codes of a failing operation, by kind. */
function faultsFor(kind: OperationKind): Omit<Fault, 'at'>[] {
  switch (kind) {
    case 'write':
      return [{ code: 'EIO' }, { code: 'ENOSPC' }, { code: 'EIO', writtenBytes: 100 }];
    case 'create':
    case 'makeDirectory':
    case 'rename':
    case 'sync':
    case 'syncDirectory':
      return [{ code: 'EIO' }, { code: 'ENOSPC' }];
    default:
      return [{ code: 'EIO' }];
  }
}

describe(`[LOG-21] seed ${RUN_SEED}`, { timeout: TIMEOUT_MS }, () => {
  test.each(ALL_SCRIPTS)('[LOG-21] $name: any failure leaves what was promised', async (script) => {
    const operations: Operation[] = [];
    await play(script, { onOperation: (operation) => operations.push(operation) });
    // The operations before create the directory, which is not part of the log.
    const start = operations.findIndex(({ kind }) => kind === 'list');
    const faults = operations.slice(start).flatMap((operation) => {
      return faultsFor(operation.kind).map((fault) => ({ ...operation, fault }));
    });
    await checkEach(shareOf(faults, FAULTS_MAX), async ({ number, kind, path, fault }) => {
      await checkFault(script, { ...fault, at: number }).catch((cause: unknown) => {
        const name = `${JSON.stringify(fault)} in operation ${number} (${kind} ${path})`;
        throw new Error(`${name}: ${String(cause)}`, { cause });
      });
    });
  });
});

/** Runs a script with a fault, and checks the disk at the end. */
async function checkFault(script: Script, fault: Fault): Promise<void> {
  const { fileSystem, run } = await play(script, {}, fault);
  const allowed = ['KAFKA_STORAGE_ERROR', 'DISK_FULL', 'CLOSED'];
  expect(run.codes.filter((code) => !allowed.includes(code))).toEqual([]);
  await checkEnd(script, fileSystem, run);
  await run.host?.abandon();
  run.clock.advance(100_000);
  await closed(fileSystem);
}

/** Waits until no file is open. */
async function closed(fileSystem: MemoryFileSystem): Promise<void> {
  for (let turn = 0; turn < 1000 && fileSystem.openFileCount > 0; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  expectSame(fileSystem.openFileCount, 0);
}

async function checkEnd(script: Script, fileSystem: MemoryFileSystem, run: Run): Promise<void> {
  const expected = { script, promised: run.promised(), attempts: run.attempts };
  const killed = fileSystem.kill(seededRandom(1));
  const seeds = Array.from({ length: OUTCOMES }, (_, outcome) => 2 + outcome);
  const cut = seeds.map((seed) => fileSystem.crash(seededRandom(seed)));
  await checkRecovered(killed, { ...expected, isKill: true });
  for (const image of cut) await checkRecovered(image, { ...expected, isKill: false });
}

describe(`[LOG-22] seed ${RUN_SEED}`, { timeout: TIMEOUT_MS }, () => {
  // LOG-21 covers the other failures that end a log.
  const scripts = SCRIPTS.filter(({ isFaulty }) => isFaulty !== true);
  test.each(scripts)('[LOG-22] $name: a disk full at any byte, and then not', async (script) => {
    const { fileSystem: roomy } = await play(script);
    const steps = Math.ceil(roomy.usedBytes / STEP_BYTES);
    await checkEach(Array(steps).keys(), async (step) => {
      const capacityBytes = step * STEP_BYTES;
      await checkFull(script, capacityBytes).catch((cause: unknown) => {
        throw new Error(`capacity ${capacityBytes}: ${String(cause)}`, { cause });
      });
    });
  });
});

/** Runs a script on a disk that fills up; then there is space, and the same log continues. */
async function checkFull(script: Script, capacityBytes: number): Promise<void> {
  const { fileSystem, run } = await play(script, { capacityBytes });
  expect(run.codes.filter((code) => code !== 'DISK_FULL' && code !== 'CLOSED')).toEqual([]);
  fileSystem.capacityBytes = Infinity;
  if (run.host === undefined) await run.open();
  await goOn(run);
  await checkEnd(script, fileSystem, run);
}

/**
 * Appends until it succeeds, as a producer does after retriable failures: the first attempts may
 * come while the log still truncates a partial write.
 */
async function goOn(run: Run): Promise<void> {
  const before = run.codes.length;
  for (let attempt = 0; attempt < 3; attempt++) {
    run.codes.length = before;
    await run.attempt(async () => {
      run.append(2, { producerId: 1 });
      await run.sync();
    });
    if (run.codes.slice(before).every((code) => code !== 'DISK_FULL')) break;
    await run.settled();
  }
  expect(run.codes.slice(before)).toEqual([]);
}
