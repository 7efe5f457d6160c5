import { describe, expect, test } from 'vitest';
import { seededRandom } from '../random.ts';
import { MemoryFileSystem, type MemoryFileSystemOptions } from '../storage/memory-fs.ts';
import type { Fault, Operation, OperationKind } from '../storage/memory-operations.ts';
import { checkRecovered, Run, type Expectation, type Script } from './simulation.suite.ts';

const plain = { producerId: 1 };
const first = { producerId: 2, isTransactional: true };
const second = { producerId: 3, isTransactional: true };

const SCRIPTS: readonly Script[] = [
  {
    name: 'appends with and without sync',
    config: { segmentBytes: 800 },
    steps: [
      (run) => void run.append(2),
      (run) => run.sync(),
      (run) => void run.append(),
      (run) => void run.append(3),
      (run) => run.written(),
      (run) => void run.append(),
      (run) => run.sync(),
      (run) => void run.append(2),
      (run) => void run.append(2),
      (run) => void run.append(2),
      (run) => run.written(),
      (run) => void run.append(),
      (run) => run.sync(),
      (run) => run.written(),
      (run) => run.reopen(),
      (run) => void run.append(2),
      (run) => void run.append(2),
      (run) => run.written(),
    ],
  },
  {
    name: 'transactions and checkpoints',
    config: { segmentBytes: 1200 },
    steps: [
      (run) => void run.append(2, first),
      (run) => void run.append(1, second),
      (run) => run.checkpoint(),
      (run) => void run.append(1, plain),
      (run) => void run.end(2, 'ABORT'),
      (run) => run.sync(),
      (run) => void run.append(2, first),
      (run) => void run.end(3, 'COMMIT'),
      (run) => run.checkpoint(),
      (run) => void run.append(2, second),
      (run) => void run.end(2, 'ABORT'),
      (run) => run.written(),
      (run) => run.checkpoint(),
      (run) => void run.end(3, 'ABORT'),
      (run) => void run.append(2, first),
      (run) => run.reopen(),
      (run) => void run.append(2, plain),
      (run) => void run.end(2, 'COMMIT'),
      (run) => run.sync(),
    ],
  },
  {
    name: 'deleted records',
    config: { segmentBytes: 600 },
    steps: [
      ...Array.from({ length: 4 }, () => (run: Run) => void run.append(2, plain)),
      (run) => run.written(),
      (run) => run.deleteRecords(3),
      (run) => run.checkpoint(),
      ...Array.from({ length: 4 }, () => (run: Run) => void run.append(1, first)),
      (run) => run.written(),
      (run) => run.deleteRecords(9),
      (run) => run.clock.advance(100_000),
      (run) => void run.end(2, 'ABORT'),
      (run) => run.written(),
      (run) => run.deleteRecords(1000),
      (run) => void run.append(1, plain),
      (run) => run.sync(),
      (run) => run.checkpoint(),
    ],
  },
  {
    name: 'retention',
    config: { segmentBytes: 600, retentionBytes: 900, retentionMs: 1e15 },
    steps: [
      ...Array.from({ length: 5 }, () => (run: Run) => void run.append(2, plain)),
      (run) => run.written(),
      (run) => run.applyRetention(),
      (run) => void run.append(1, first),
      (run) => run.checkpoint(),
      (run) => void run.append(3),
      (run) => run.sync(),
      (run) => run.applyRetention(),
      (run) => run.clock.advance(100_000),
      (run) => run.log.setConfig({ ...run.log.config, retentionMs: 1 }),
      (run) => void run.append(2, plain),
      (run) => run.written(),
      (run) => run.applyRetention(), // of everything
      (run) => run.clock.advance(100_000),
      (run) => void run.append(2),
      (run) => run.sync(),
    ],
  },
  {
    name: 'everything at once',
    config: { segmentBytes: 700 },
    steps: [
      (run) => void run.append(2, plain),
      (run) => run.start(() => run.sync()),
      (run) => void run.append(2, first),
      (run) => run.start(() => run.checkpoint()),
      (run) => void run.append(3, plain),
      (run) => run.start(() => run.sync()),
      (run) => void run.append(3, second),
      (run) => run.written(),
      (run) => run.start(() => run.sync()),
      (run) => void run.end(2, 'ABORT'),
      (run) => void run.append(2, plain),
      (run) => run.start(() => run.deleteRecords(4)),
      (run) => run.start(() => run.checkpoint()),
      (run) => void run.append(2, second),
      (run) => run.sync(),
      (run) => run.start(() => run.checkpoint()),
      (run) => void run.end(3, 'COMMIT'),
      (run) => run.written(),
    ],
  },
];

const RUN_SEED = Number(process.env['SIM_SEED'] ?? 1);
/** Outcomes of a power cut tried at each crash point; more at night. */
const OUTCOMES = Number(process.env['SIM_OUTCOMES'] ?? 4);

/** Operations that change nothing: a crash after them is one before them. */
const READS: ReadonlySet<string> = new Set(['open', 'close', 'read', 'size', 'stat', 'list']);

interface Crash extends Expectation {
  readonly name: string;
  readonly image: MemoryFileSystem;
}

/** Every crash that a run of a script may suffer, after each operation of the disk. */
async function crashesOf(script: Script, outcomes: number): Promise<Crash[]> {
  const crashes: Crash[] = [];
  const onOperation = ({ number, kind, path }: Operation): void => {
    if (READS.has(kind)) return;
    const expected = { script, promised: run.promised(), attempts: run.attempts };
    const name = `after operation ${number} (${kind} ${path})`;
    crashes.push({ ...expected, isKill: true, name: `killed ${name}`, image: fileSystem.kill() });
    for (let outcome = 1; outcome <= outcomes; outcome++) {
      const seed = number * 1000 + outcome;
      const image = fileSystem.crash(seededRandom(seed));
      crashes.push({ ...expected, isKill: false, name: `power cut ${seed} ${name}`, image });
    }
  };
  const random = seededRandom(RUN_SEED);
  const fileSystem: MemoryFileSystem = new MemoryFileSystem({ random, onOperation });
  const run: Run = new Run(fileSystem, script, RUN_SEED);
  await run.play();
  expect(run.codes).toEqual([]);
  return crashes;
}

describe(`[LOG-20] seed ${RUN_SEED}`, () => {
  test.each(SCRIPTS)('[LOG-20] $name: any crash leaves what was promised', async (script) => {
    const crashes = await crashesOf(script, OUTCOMES);
    expect(crashes.length).toBeGreaterThan(50 * (OUTCOMES + 1)); // or the script tests little
    for (const { name, image, ...expected } of crashes) {
      await checkRecovered(image, expected).catch((cause: unknown) => {
        throw new Error(`${name}: ${String(cause)}`, { cause });
      });
    }
  });
});

/** What a failing operation of a kind may say. */
function faultsFor(kind: OperationKind): Omit<Fault, 'at'>[] {
  switch (kind) {
    case 'write':
      return [{ code: 'EIO' }, { code: 'ENOSPC' }, { code: 'EIO', writtenBytes: 100 }];
    case 'create':
    case 'makeDirectory':
    case 'rename':
      return [{ code: 'EIO' }, { code: 'ENOSPC' }];
    default:
      return [{ code: 'EIO' }];
  }
}

describe(`[LOG-21] seed ${RUN_SEED}`, () => {
  test.each(SCRIPTS)('[LOG-21] $name: any failure leaves what was promised', async (script) => {
    const operations: Operation[] = [];
    await play(script, { onOperation: (operation) => operations.push(operation) });
    // What stands before is the making of the directory, which is not the log's.
    const start = operations.findIndex(({ kind }) => kind === 'list');
    for (const { number, kind, path } of operations.slice(start)) {
      for (const fault of faultsFor(kind)) {
        await checkFault(script, { ...fault, at: number }).catch((cause: unknown) => {
          const name = `${JSON.stringify(fault)} in operation ${number} (${kind} ${path})`;
          throw new Error(`${name}: ${String(cause)}`, { cause });
        });
      }
    }
  });
});

async function play(script: Script, options: MemoryFileSystemOptions, fault?: Fault) {
  const random = seededRandom(RUN_SEED);
  const fileSystem = new MemoryFileSystem({ random, ...options });
  if (fault !== undefined) fileSystem.fail(fault);
  const run = new Run(fileSystem, script, RUN_SEED);
  await run.play();
  return { fileSystem, run };
}

async function checkFault(script: Script, fault: Fault): Promise<void> {
  const { fileSystem, run } = await play(script, {}, fault);
  const allowed = ['KAFKA_STORAGE_ERROR', 'DISK_FULL', 'CLOSED'];
  expect(run.codes.filter((code) => !allowed.includes(code))).toEqual([]);
  const expected = { script, promised: run.promised(), attempts: run.attempts };
  const killed = fileSystem.kill(seededRandom(1));
  const cut = [2, 3].map((seed) => fileSystem.crash(seededRandom(seed)));
  await checkRecovered(killed, { ...expected, isKill: true });
  for (const image of cut) await checkRecovered(image, { ...expected, isKill: false });
  await run.host?.log.abandon();
  run.clock.advance(100_000);
  await expect.poll(() => fileSystem.openFileCount, { interval: 0 }).toBe(0);
}

test.runIf(process.env['DBG'])('dbg', async () => {
  const script = SCRIPTS[Number(process.env['DBG'])]!;
  const { run } = await play(
    script,
    { onOperation: (o) => console.log(JSON.stringify(o)) },
    { at: Number(process.env['AT']), code: 'EIO' },
  );
  console.log(run.codes, run.promised());
});
