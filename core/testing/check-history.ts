import type { History, Operation, Seen } from './history.ts';

/**
 * The anomalies that a history can show, those of Jepsen's workload for Kafka
 * (`jepsen.tests.kafka`), by its names.
 *
 * - `lost-write`: acknowledged, below what was read of the partition, and never read
 * - `unseen`: acknowledged, and never read though everything was
 * - `aborted-read`: read, though its operation failed or was never committed (G1a)
 * - `precommitted-read`: read before its transaction asked to commit
 * - `duplicate`: one value at several places
 * - `inconsistent-offsets`: several values at one place
 * - `unsent`: read, and sent by nobody
 * - `poll-skip`, `int-poll-skip`: a poll left out a record that others read; in one operation
 * - `nonmonotonic-poll`, `int-nonmonotonic-poll`: a poll went back
 * - `nonmonotonic-send`, `int-nonmonotonic-send`: a later send has a lower offset
 * - `read-cycle`: operations that have all read from each other (G1c without the order of writes)
 *
 * Writes of several transactions may stand in any order (G0): a log does not isolate writers.
 */
export type AnomalyType =
  | 'lost-write'
  | 'unseen'
  | 'aborted-read'
  | 'precommitted-read'
  | 'duplicate'
  | 'inconsistent-offsets'
  | 'unsent'
  | 'poll-skip'
  | 'int-poll-skip'
  | 'nonmonotonic-poll'
  | 'int-nonmonotonic-poll'
  | 'nonmonotonic-send'
  | 'int-nonmonotonic-send'
  | 'read-cycle';

export interface Anomaly {
  readonly type: AnomalyType;
  /** A description for people. */
  readonly message: string;
}

export interface CheckOptions {
  /**
   * True if everything was read at the end; only then is `unseen` reported. Default false.
   */
  readonly isComplete?: boolean;
}

/** Finds anomalies in what clients did and saw. Returns an empty list if there are none. */
export function checkHistory(history: History, options: CheckOptions = {}): Anomaly[] {
  return new Check(history.operations, options.isComplete ?? false).run();
}

interface Sent {
  readonly operation: Operation;
  readonly record: Seen;
}

class Check {
  readonly #operations: readonly Operation[];
  readonly #isComplete: boolean;
  readonly #anomalies: Anomaly[] = [];
  readonly #sends = new Map<string, Sent>();
  /** Place to value. */
  readonly #values = new Map<string, string>();
  /** Value to its places. */
  readonly #places = new Map<string, Set<string>>();
  /** Partition to the offsets that some client has read. */
  readonly #offsets = new Map<string, number[]>();
  readonly #read = new Set<string>();

  constructor(operations: readonly Operation[], isComplete: boolean) {
    this.#operations = operations;
    this.#isComplete = isComplete;
  }

  run(): Anomaly[] {
    for (const operation of this.#operations) this.#collectSends(operation);
    for (const operation of this.#operations) this.#collectReads(operation);
    for (const offsets of this.#offsets.values()) offsets.sort((a, b) => a - b);
    this.#checkPlaces();
    this.#checkLost();
    this.#checkOrders();
    this.#checkCycles();
    return this.#anomalies;
  }

  #collectSends(operation: Operation): void {
    for (const { kind, record } of operation.steps) {
      if (kind !== 'send') continue;
      this.#sends.set(record.value, { operation, record });
      if (record.offset !== undefined) this.#place(record);
    }
  }

  #collectReads(reader: Operation): void {
    for (const { kind, record } of reader.steps) {
      if (kind !== 'poll') continue;
      this.#place(record);
      if (!this.#read.has(record.value)) this.#noteOffset(record);
      this.#read.add(record.value);
      const sent = this.#sends.get(record.value);
      if (sent === undefined) this.#report('unsent', `${nameOf(record)} was sent by nobody`);
      else this.#checkRead(reader, sent.operation, record);
    }
  }

  #checkRead(reader: Operation, writer: Operation, record: Seen): void {
    const { outcome, isTransaction, commitAt } = writer;
    const hasCommit = !isTransaction || outcome === 'ok' || commitAt !== undefined;
    if (outcome === 'failed' || !hasCommit) {
      const what = outcome === 'failed' ? 'failed' : 'was never to commit';
      this.#report('aborted-read', `${nameOf(record)} was read, but its operation ${what}`);
    } else if (isTransaction && commitAt !== undefined && (reader.endedAt ?? Infinity) < commitAt) {
      this.#report('precommitted-read', `${nameOf(record)} was read before its commit`);
    } else if (isTransaction && reader === writer) {
      this.#report('precommitted-read', `${nameOf(record)} was read by its own transaction`);
    }
  }

  #place(record: Seen): void {
    const place = placeOf(record);
    const other = this.#values.get(place);
    if (other !== undefined && other !== record.value) {
      this.#report('inconsistent-offsets', `${place} holds ${other} and ${record.value}`);
    }
    this.#values.set(place, record.value);
    const places = this.#places.get(record.value) ?? new Set();
    this.#places.set(record.value, places.add(place));
  }

  #noteOffset(record: Seen): void {
    const partition = partitionOf(record);
    const offsets = this.#offsets.get(partition) ?? [];
    this.#offsets.set(partition, offsets);
    offsets.push(record.offset ?? 0);
  }

  #checkPlaces(): void {
    for (const [value, places] of this.#places) {
      if (places.size < 2) continue;
      this.#report('duplicate', `${value} stands at ${[...places].join(' and ')}`);
    }
  }

  #checkLost(): void {
    for (const { operation, record } of this.#sends.values()) {
      if (operation.outcome !== 'ok' || this.#read.has(record.value)) continue;
      const highest = this.#offsets.get(partitionOf(record))?.at(-1) ?? -1;
      if (record.offset !== undefined && record.offset < highest) {
        const message = `${nameOf(record)} was acknowledged, but skipped: ${highest} was read`;
        this.#report('lost-write', message);
      } else if (this.#isComplete) {
        this.#report('unseen', `${nameOf(record)} was acknowledged and never read`);
      }
    }
  }

  /** Within a process and partition, polls advance record by record and send offsets rise. */
  #checkOrders(): void {
    const polled = new Map<string, Last>();
    const sent = new Map<string, Last>();
    for (const operation of this.#operations) {
      if (operation.isRepositioned) forget(polled, operation.process);
      for (const { kind, record } of operation.steps) {
        const { offset } = record;
        if (offset === undefined) continue;
        const key = `${operation.process} ${partitionOf(record)}`;
        const lasts = kind === 'poll' ? polled : sent;
        const last = lasts.get(key);
        lasts.set(key, { operation, offset });
        if (last === undefined) continue;
        const inner = last.operation === operation ? 'int-' : '';
        const step = `${operation.process} went from ${last.offset} to ${nameOf(record)}`;
        if (offset <= last.offset) this.#report(`${inner}nonmonotonic-${kind}`, step);
        else if (kind === 'poll') this.#checkSkip(inner, last.offset, record, step);
      }
      // What a failed operation read is read again.
      if (operation.isTransaction && operation.outcome !== 'ok') forget(polled, operation.process);
    }
  }

  #checkSkip(inner: 'int-' | '', from: number, record: Seen, step: string): void {
    const offsets = this.#offsets.get(partitionOf(record)) ?? [];
    const next = offsets[above(offsets, from)];
    if (next === undefined || next >= (record.offset ?? 0)) return;
    this.#report(`${inner}poll-skip`, `${step} and left out ${next}`);
  }

  /** Finds operations that read from each other in a cycle: none of them can have been first. */
  #checkCycles(): void {
    const readsFrom = new Map<Operation, Set<Operation>>();
    for (const reader of this.#operations) {
      for (const { kind, record } of reader.steps) {
        const writer = this.#sends.get(record.value)?.operation;
        if (kind !== 'poll' || writer === undefined || writer === reader) continue;
        readsFrom.set(reader, (readsFrom.get(reader) ?? new Set()).add(writer));
      }
    }
    // Remove operations that read from none of the rest, until nothing changes: cycles remain.
    for (let before = -1; before !== readsFrom.size;) {
      before = readsFrom.size;
      for (const [reader, writers] of readsFrom) {
        for (const writer of writers) if (!readsFrom.has(writer)) writers.delete(writer);
        if (writers.size === 0) readsFrom.delete(reader);
      }
    }
    if (readsFrom.size === 0) return;
    const names = [...readsFrom.keys()].map(({ process, begunAt }) => `${process}@${begunAt}`);
    this.#report('read-cycle', `have read from each other: ${names.join(', ')}`);
  }

  #report(type: AnomalyType, message: string): void {
    this.#anomalies.push({ type, message });
  }
}

interface Last {
  readonly operation: Operation;
  readonly offset: number;
}

function forget(lasts: Map<string, Last>, process: string): void {
  for (const key of [...lasts.keys()]) if (key.startsWith(`${process} `)) lasts.delete(key);
}

/** The index of the first of rising `offsets` above `offset`. */
function above(offsets: readonly number[], offset: number): number {
  let [low, high] = [0, offsets.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (offsets[middle]! > offset) high = middle;
    else low = middle + 1;
  }
  return low;
}

function partitionOf({ topic, partition }: Seen): string {
  return `${topic}-${partition}`;
}

function placeOf(record: Seen): string {
  return `${partitionOf(record)}@${record.offset}`;
}

function nameOf(record: Seen): string {
  const { value, offset } = record;
  return offset === undefined
    ? `${value} in ${partitionOf(record)}`
    : `${value} at ${placeOf(record)}`;
}
