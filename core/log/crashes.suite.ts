import { expect } from 'vitest';
import { checkEach } from '../../test/kit/check-each.ts';
import { seededRandom } from '../random.ts';
import { MemoryFileSystem } from '../storage/memory-fs.ts';
import { changesNothing, type Operation } from '../storage/memory-operations.ts';
import { LogHost } from './log-host.suite.ts';
import { JOURNAL_SCRIPTS, SCRIPTS } from './simulation-scripts.suite.ts';
import {
  checkRecovered,
  DIRECTORY,
  Run,
  type Expectation,
  type Script,
} from './simulation.suite.ts';

export const ALL_SCRIPTS: readonly Script[] = [...SCRIPTS, ...JOURNAL_SCRIPTS];

/** How much of a script to try. */
export interface CrashOptions {
  readonly seed: number;
  /** Power cuts to try after each operation. */
  readonly outcomes: number;
}

/** The state after a crash, and the required content. */
interface Crash extends Expectation {
  readonly name: string;
  /** Creates the image on demand, so that few of them are in memory at a time. */
  readonly image: () => MemoryFileSystem;
}

/** Collects the states that crashes would leave after each operation. */
function crashAtEach(
  fileSystem: MemoryFileSystem,
  expected: () => Omit<Expectation, 'isKill'> & Partial<Expectation>,
  outcomes: number,
): Crash[] {
  const crashes: Crash[] = [];
  fileSystem.onOperation = ({ number, kind, path }: Operation): void => {
    if (changesNothing(kind)) return;
    const name = `after operation ${number} (${kind} ${path})`;
    const then = fileSystem.kill(seededRandom(number));
    const what = expected();
    // A kill does not restore what an earlier power cut took.
    const killed = () => then.kill(seededRandom(number));
    crashes.push({ isKill: true, ...what, name: `killed ${name}`, image: killed });
    for (let outcome = 1; outcome <= outcomes; outcome++) {
      const seed = number * 1000 + outcome;
      const cut = () => then.crash(seededRandom(seed));
      crashes.push({ ...what, isKill: false, name: `power cut ${seed} ${name}`, image: cut });
    }
  };
  return crashes;
}

/** Every crash that a run of a script may suffer, after each operation of the disk. */
async function crashesOf(script: Script, { seed, outcomes }: CrashOptions): Promise<Crash[]> {
  const fileSystem = new MemoryFileSystem({ random: seededRandom(seed) });
  const run = new Run(fileSystem, script, seed);
  const expected = () => ({ script, promised: run.promised(), attempts: run.attempts });
  const crashes = crashAtEach(fileSystem, expected, outcomes);
  await run.play();
  if (script.isFaulty !== true) expect(run.codes).toEqual([]);
  return crashes;
}

/** Crashes a run of a script after each operation of the disk. Returns the number of crashes. */
export async function crashEverywhere(script: Script, options: CrashOptions): Promise<number> {
  const crashes = await crashesOf(script, options);
  expect(crashes.length).toBeGreaterThan(40 * (options.outcomes + 1)); // or this tests little
  await checkAll(crashes);
  return crashes.length;
}

/**
 * Opens the state after one in `sample` of a script's crashes, and crashes that opening after each
 * of its operations. Returns the number of crashes.
 */
export async function crashOpenings(
  script: Script,
  { sample, ...options }: CrashOptions & { readonly sample: number },
): Promise<number> {
  const crashes = await crashesOf(script, options);
  let count = 0;
  for (let index = 0; index < crashes.length; index += sample) {
    const { name, image: take, ...expected } = crashes[index]!;
    const image = take();
    const inner = crashAtEach(image, () => expected, 1);
    const host = await LogHost.open({
      fileSystem: image,
      directory: DIRECTORY,
      config: script.config,
      hasJournal: script.hasJournal ?? false,
    });
    await host.checkpoint();
    await host.abandon();
    count += inner.length;
    await checkAll(inner, `${name}, then `);
  }
  return count;
}

function checkAll(crashes: readonly Crash[], outer = ''): Promise<void> {
  return checkEach(crashes, async ({ name, image, ...expected }) => {
    await checkRecovered(image(), expected).catch((cause: unknown) => {
      throw new Error(`${outer}${name}: ${String(cause)}`, { cause });
    });
  });
}
