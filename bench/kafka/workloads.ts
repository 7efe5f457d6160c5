import type { Unit } from '../harness.ts';
import { MemoryWatch, type Memory, type Worker } from './processes.ts';
import type { Side } from './sides.ts';
import type { Task, WorkloadName } from './tasks.ts';

/** A value that a run has measured. */
export interface Reading {
  readonly title: string;
  readonly unit: Unit;
  /** The side, or the part of it. */
  readonly name: string;
  readonly value: number;
}

/** What is common to the tasks of a workload. */
export type Plan = Omit<Task, 'step' | 'run' | 'directory' | 'bootstrap'>;

/** One way to run a workload on one of the sides. */
export interface Contender {
  readonly name: string;
  readonly side: Side;
  readonly change: Partial<Plan>;
}

/** What a workload is called in results, and its sizes unless they are given. */
export interface Workload {
  readonly title: string;
  readonly records: number;
  readonly keys: number;
  readonly windowMs?: number;
  /** A check of the results follows: both sides must agree. */
  readonly isChecked?: boolean;
}

export const WORKLOADS: Readonly<Record<WorkloadName, Workload>> = {
  map: { title: 'stateless map of JSON', records: 2_000_000, keys: 100_000, isChecked: true },
  count: {
    ...{ title: 'count in windows of a minute', records: 1_000_000, keys: 100_000 },
    ...{ windowMs: 60_000, isChecked: true },
  },
  'table-join': {
    ...{ title: 'join of a stream with a table', records: 1_000_000, keys: 10_000 },
    isChecked: true,
  },
  // A record each millisecond, of the sides in turn: about one partner within the window.
  'stream-join': {
    ...{ title: 'join of two streams', records: 1_000_000, keys: 10_000 },
    ...{ windowMs: 10_000, isChecked: true },
  },
  produce: { title: 'produce, 100-byte values', records: 5_000_000, keys: 1 },
  consume: { title: 'consume, 100-byte values', records: 5_000_000, keys: 1 },
  latency: { title: 'end-to-end latency', records: 300_000, keys: 1_000 },
  start: { title: 'start-up', records: 1, keys: 1, isChecked: true },
  restart: { title: 'restart after SIGKILL', records: 1, keys: 1 },
};

/** Rows and sums that the sides must agree on, by workload. */
const checked = new Map<string, string>();

/** Fills the input in one process, and measures another one. */
export async function measure(
  workload: Workload,
  { name, side, change }: Contender,
  plan: Plan,
  run: string,
): Promise<Reading[]> {
  const task = { ...plan, ...change, run };
  try {
    const filler = side.start({ ...task, step: 'fill' });
    await filler.until('filled');
    await filler.end();
    const worker = side.start({ ...task, step: 'run' });
    const watch = new MemoryWatch(worker.pid);
    const brokerWatch = side.brokerPid === undefined ? undefined : new MemoryWatch(side.brokerPid);
    await worker.until('finished');
    const memory = watch.stop();
    const brokerMemory = brokerWatch?.stop();
    worker.goOn();
    await worker.until('ended');
    await worker.end();
    if (workload.isChecked === true) compareResults(task.workload, name, worker);
    return [
      ...readingsOf(workload, name, task, worker),
      ...memoryOf(workload, name, memory),
      ...memoryOf(workload, `${name}, broker`, brokerMemory),
    ];
  } finally {
    side.clean(run);
  }
}

function readingsOf(
  { title }: Workload,
  name: string,
  { workload, records }: Pick<Task, 'workload' | 'records'>,
  worker: Worker,
): Reading[] {
  if (workload === 'start') return sinceStart(title, name, worker);
  if (workload === 'latency') {
    const finished = worker.milestones.find(({ what }) => what === 'finished');
    return (['p50', 'p99', 'max'] as const).map((which) => {
      return { title: `${title}, ${which}`, unit: 'ms', name, value: finished?.[which] ?? NaN };
    });
  }
  return [{ title, unit: 'per second', name, value: rateOf(records, worker) }];
}

/** From the start of the process to each of the milestones that both sides have. */
export function sinceStart(title: string, name: string, worker: Worker): Reading[] {
  const { milestones, startedMs } = worker;
  return (['running', 'first record', 'first commit'] as const).flatMap((what) => {
    // Of a start there is one record, and one step of progress: its commit.
    const isSuch = (each: string) =>
      each === what || (what === 'first commit' && each === 'progress');
    const found = milestones.find((milestone) => isSuch(milestone.what));
    if (found === undefined) return [];
    return [
      { title: `${title}, ${what}`, unit: 'ms' as const, name, value: found.atMs - startedMs },
    ];
  });
}

/**
 * Records a second between 20 % and 98 % of the input committed: so neither the start with its cold
 * code counts, nor how long a join waits at the end for an input that has no more records. A run so
 * short that it has no such steps counts from its first record.
 */
export function rateOf(records: number, { milestones }: Pick<Worker, 'milestones'>): number {
  const steps = milestones.flatMap(({ what, atMs, count = 0 }) => {
    if (what === 'first record' || what === 'running') return [{ atMs, count: 0 }];
    return what === 'progress' ? [{ atMs, count }] : [];
  });
  const from = steps.find(({ count }) => count >= records * 0.2 && count < records * 0.98);
  const first = from ?? steps[0];
  const last = steps.find(({ count }) => count >= records * 0.98);
  if (first === undefined || last === undefined) throw new TypeError('the run told no progress');
  return ((last.count - first.count) / (last.atMs - first.atMs)) * 1000;
}

function memoryOf({ title }: Workload, name: string, memory: Memory | undefined): Reading[] {
  if (memory === undefined) return [];
  const { peak, anonymous, files } = memory;
  const reading = (part: string, value: number): Reading => {
    return { title: `memory: ${title}`, unit: 'MB', name: `${name}${part}`, value };
  };
  return [reading('', peak), reading(' (anonymous)', anonymous), reading(' (mapped files)', files)];
}

/** @throws if a side has other results than the first run of the workload. */
function compareResults(workload: string, name: string, worker: Worker): void {
  const found = worker.milestones.find(({ what }) => what === 'checked');
  const result = `${found?.rows ?? 'no'} results with sum ${found?.sum ?? 'unknown'}`;
  const expected = checked.get(workload) ?? result;
  checked.set(workload, expected);
  if (result !== expected || found === undefined) {
    throw new TypeError(`${workload}: ${name} has ${result}, the first run has ${expected}`);
  }
}
