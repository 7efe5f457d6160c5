import { systemClock, type Clock, type Log, type Random } from '../../core/index.ts';
import {
  StreamsError,
  type CommitStep,
  type StreamsApp,
  type Topology,
} from '../../streams/index.ts';
import { makeApp } from './app.ts';

const STEPS: readonly CommitStep[] = [
  'commit-2-changelog',
  'commit-4-offsets',
  'commit-5-end',
  'commit-6-move',
  'checkpoint-1-offsets',
  'checkpoint-2-write',
  'checkpoint-3-done',
];

/** Timers come early, so that a restart does not wait a second. */
const HASTY: Clock = {
  ...systemClock,
  setTimer: (delayMs, callback) => systemClock.setTimer(delayMs / 50, callback),
};

/** An application some of whose commits fail, and how far it has committed its one partition. */
export class FailingRun {
  readonly app: StreamsApp;
  /** The numbers of records after each commit. */
  readonly commits = new Set([0]);
  failures = 0;
  /** Records that a query has to see. */
  committed = 0;
  /** Records that are processed, perhaps not committed. */
  #processed = 0;

  constructor(log: Log, random: Random, topology: Topology) {
    let calls = 0;
    let failsAt = 20;
    let known = 0;
    const onStep = (step: CommitStep): void => {
      if (step === 'commit-6-move') {
        known = this.#processed;
        this.commits.add(known);
      }
      if (++calls >= failsAt && STEPS.includes(step)) {
        failsAt = calls + 10 + Math.floor(random.next() * 60);
        this.failures++;
        const details = { applicationId: 'app', step };
        throw new StreamsError('COMMIT_FAILED', `${step} is to fail`, details);
      }
      if (step === 'commit-6-move') this.committed = known;
    };
    this.app = makeApp(log, topology, {
      ...{ onStep, clock: HASTY, commitIntervalMs: 5, checkpointIntervalMs: 25 },
      cacheEntriesMax: 50,
    });
    this.app.state$.subscribe((state) => {
      if (state === 'RESTORING') this.#processed = known;
      if (state === 'RUNNING') this.committed = known;
    });
  }

  /** Call it with each record that the topology processes. */
  note(offset: number): void {
    this.#processed = offset + 1;
  }
}
