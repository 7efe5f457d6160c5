import { silentLogger, type AnyTopic, type ConsumerRecord } from '../../core/index.ts';
import { recordText } from '../../core/internal.ts';
import type { SourceConnector } from '../connector.ts';
import { SourceRunner, type SourceRunnerOptions } from '../runtime/source-runner.ts';
import {
  countsOf,
  CrashPlan,
  difference,
  readAll,
  TrialLog,
  trialFailed,
  type Trials,
} from './trials.ts';

/** A source, and what it is to be tried with. */
export interface SourceTrial {
  /**
   * Makes the connector, for each run anew, as a restarted program would. It is bounded, and what
   * it reads does not change between the runs.
   */
  readonly source: () => SourceConnector;
  /** The topics that are looked at. Default: those that the connector names. */
  readonly topics?: readonly AnyTopic[];
  /**
   * The records that are expected, each as `describe` tells it. Default: those of a run that
   * nothing disturbs; a test that says them finds more.
   */
  readonly expected?: readonly string[];
  /** A record as text. Default: topic, key and value. */
  readonly describe?: (record: ConsumerRecord) => string;
  /** How the runner is set. Default: a commit behind each 10 records. */
  readonly options?: SourceRunnerOptions;
  /** Of what chance decides. Default: 1. */
  readonly seed?: number;
}

const COMMIT_RECORDS = 10;

/**
 * Runs a source once undisturbed, and then once for each step of its commits with a crash there:
 * the process is gone, another one opens the log as the disk has it, and runs a new connector to
 * its end. Then each record is in the log once. At last the source runs again: there is nothing
 * more.
 *
 * @example
 * await trySource({ source: () => counterSource({ topic: numbers, end: 100 }) });
 * @throws ConnectError TRIAL_FAILED with the step, and what is missing or there twice.
 * @throws Error whatever a run fails with that does not crash.
 */
export async function trySource(trial: SourceTrial): Promise<Trials> {
  const { seed = 1, describe = describeRecord } = trial;
  const whole = new CrashPlan(Infinity, () => undefined);
  const log = new TrialLog(seed);
  await runSource(log, trial, whole.reach);
  const { name } = trial.source();
  const read = async (from: TrialLog): Promise<Map<string, number>> => {
    const { topics = trial.source().topics } = trial;
    return countsOf((await from.open((opened) => readAll(opened, topics))).map(describe));
  };
  const undisturbed = await read(log);
  const expected = trial.expected === undefined ? undisturbed : countsOf(trial.expected);
  const check = async (from: TrialLog, step: string): Promise<void> => {
    const problem = difference(expected, await read(from), false);
    if (problem !== undefined) throw trialFailed(name, step, problem);
  };
  await check(log, 'a run that nothing disturbed');
  for (const [index, step] of whole.steps.entries()) {
    const crashing = new TrialLog(seed);
    let left = crashing.snapshot();
    const plan = new CrashPlan(index, () => (left = crashing.snapshot()));
    await runSource(crashing, trial, plan.reach).catch((error: unknown) => {
      if (plan.crashedAt === undefined) throw error;
    });
    if (plan.crashedAt === undefined) continue; // this time the run had fewer steps
    crashing.restore(left);
    await runSource(crashing, trial);
    await check(crashing, `a crash at ${step} (${index + 1})`);
    await runSource(crashing, trial);
    await check(crashing, `a crash at ${step} (${index + 1}) and another run`);
  }
  return { steps: whole.steps };
}

async function runSource(
  log: TrialLog,
  { source, options }: SourceTrial,
  onStep: (step: string) => void = () => undefined,
): Promise<void> {
  await log.open(async (opened) => {
    const settings = { commitRecordsMax: COMMIT_RECORDS, logger: silentLogger, ...options, onStep };
    await new SourceRunner(opened, source(), settings).run();
  });
}

function describeRecord({ topic, key, value }: ConsumerRecord): string {
  return `${topic} ${recordText({ key, value, timestampMs: undefined })}`;
}
