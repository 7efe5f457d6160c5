import { silentLogger, type ProducerRecord, type Topic } from '../../core/index.ts';
import type { SinkConnector } from '../connector.ts';
import { SinkRunner, type SinkRunnerOptions } from '../runtime/sink-runner.ts';
import { countsOf, CrashPlan, difference, TrialLog, trialFailed, type Trials } from './trials.ts';

/** A sink, and what it is to be tried with. */
export interface SinkTrial<K, V> {
  /** Makes the connector, for each run anew, as a restarted program would, on the same output. */
  readonly sink: () => SinkConnector;
  /** The topic that it reads, and what is in it. */
  readonly topic: Topic<K, V>;
  readonly records: readonly ProducerRecord<K, V>[];
  /** What the output holds: a text for each record. */
  readonly read: () => Promise<readonly string[]> | readonly string[];
  /** The texts that are expected. */
  readonly expected: readonly string[];
  /** Empties the output: each trial begins with none. */
  readonly reset: () => Promise<void> | void;
  /** How the runner is set. Default: a commit behind each 10 records. */
  readonly options?: SinkRunnerOptions;
  /** Of what chance decides. Default: 1. */
  readonly seed?: number;
}

const COMMIT_RECORDS = 10;

/**
 * Runs a sink once undisturbed, and then once for each step of its commits, its own included,
 * with a crash there: nothing more of that run succeeds, another process opens the log as the
 * disk has it, and runs a new connector until the output is complete. Then the output is what the
 * sink's `delivery` promises: each record once, or with `at-least-once` each of them. At last the
 * sink runs again, and nothing changes.
 *
 * A crash is an error that `onStep` throws, so that outputs outside of this process can be tried,
 * too: `close` of the sink is still called, and must not make anything durable.
 *
 * @throws ConnectError TRIAL_FAILED with the step, and what is missing or there twice.
 * @throws Error whatever a run fails with that does not crash.
 */
export async function trySink<K, V>(trial: SinkTrial<K, V>): Promise<Trials> {
  const { seed = 1, read, expected, reset } = trial;
  const { name, delivery } = trial.sink();
  const wanted = countsOf(expected);
  const check = async (step: string): Promise<void> => {
    const found = countsOf(await read());
    const problem = difference(wanted, found, delivery === 'at-least-once');
    if (problem !== undefined) throw trialFailed(name, step, problem);
  };
  await reset();
  const whole = new CrashPlan(Infinity, () => undefined);
  const log = await filled(seed, trial);
  await runSink(log, trial, whole.reach);
  await check('a run that nothing disturbed');
  for (const [index, step] of whole.steps.entries()) {
    await reset();
    const crashing = await filled(seed, trial);
    let left = crashing.snapshot();
    const plan = new CrashPlan(index, () => (left = crashing.snapshot()));
    await runSink(crashing, trial, plan.reach).catch((error: unknown) => {
      if (plan.crashedAt === undefined) throw error;
    });
    if (plan.crashedAt === undefined) continue; // this time the run had fewer steps
    crashing.restore(left);
    await runSink(crashing, trial);
    await check(`a crash at ${step} (${index + 1})`);
    const before = [...(await read())].sort();
    await runSink(crashing, trial);
    const after = [...(await read())].sort();
    if (before.join('\n') !== after.join('\n')) {
      throw trialFailed(
        name,
        `a crash at ${step} (${index + 1})`,
        'another run changes the output',
      );
    }
  }
  return { steps: whole.steps };
}

/** A log with the input. */
async function filled<K, V>(seed: number, trial: SinkTrial<K, V>): Promise<TrialLog> {
  const log = new TrialLog(seed);
  await log.open(async (opened) => {
    const producer = opened.producer();
    await producer.sendAll(trial.topic, trial.records);
    await producer.close();
  });
  return log;
}

async function runSink<K, V>(
  log: TrialLog,
  { sink, options }: SinkTrial<K, V>,
  onStep: (step: string) => void = () => undefined,
): Promise<void> {
  await log.open(async (opened) => {
    const settings = { commitRecordsMax: COMMIT_RECORDS, logger: silentLogger, ...options, onStep };
    await new SinkRunner(opened, sink(), settings).finish();
  });
}
