import type { Clock } from '../../core/index.ts';
import { Meter } from './meter.ts';

/** What a group of tasks measures: the equivalent of a thread of Kafka Streams. */
export class GroupMeters {
  /** Milliseconds of each wait for input. */
  readonly poll: Meter;
  /** Bytes that each of them brought. */
  readonly pollBytes: Meter;
  /** Milliseconds a record, known by batch. */
  readonly process: Meter;
  /** Milliseconds of each call of a punctuation. */
  readonly punctuate: Meter;
  /** Milliseconds of each commit. */
  readonly commit: Meter;
  /** Milliseconds of each checkpoint. */
  readonly checkpoint: Meter;

  constructor(clock: Clock) {
    const nowMs = clock.monotonicMs();
    this.poll = new Meter(nowMs);
    this.pollBytes = new Meter(nowMs);
    this.process = new Meter(nowMs);
    this.punctuate = new Meter(nowMs);
    this.commit = new Meter(nowMs);
    this.checkpoint = new Meter(nowMs);
  }

  /** Call it before values are noted, once in a while. */
  advance(nowMs: number): void {
    for (const meter of Object.values(this) as Meter[]) meter.advance(nowMs);
  }
}

/**
 * What a task measures. The clocks are read once for a batch of records, in `begin`, and never for
 * one of them.
 */
export class TaskMeters {
  /** Milliseconds a record, known by batch. */
  readonly process: Meter;
  /** Milliseconds of each call of a punctuation. */
  readonly punctuate: Meter;
  /** How far each record is behind the time of its partition, in milliseconds. */
  readonly lateness: Meter;
  /** By store, the records written to its changelog, or to the topic that replaces it. */
  readonly changes = new Map<string, number>();
  /** By topic, the bytes fetched. */
  readonly consumedBytes = new Map<string, number>();
  readonly #clock: Clock;
  /** Changes when the task moves to another group. */
  group: GroupMeters;
  readonly #endToEnd = new Map<string, EndToEndMeter>();
  /** The wall clock when the current batch began. */
  #nowMs: number;

  constructor(clock: Clock, group: GroupMeters) {
    const nowMs = clock.monotonicMs();
    this.#clock = clock;
    this.group = group;
    this.#nowMs = clock.nowMs();
    this.process = new Meter(nowMs);
    this.punctuate = new Meter(nowMs);
    this.lateness = new Meter(nowMs);
  }

  /** The wall clock when the current batch began. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Call it before each batch of records; returns the monotonic time. */
  begin(): number {
    const nowMs = this.#clock.monotonicMs();
    this.#nowMs = this.#clock.nowMs();
    this.process.advance(nowMs);
    this.punctuate.advance(nowMs);
    this.lateness.advance(nowMs);
    for (const { meter } of this.#endToEnd.values()) meter.advance(nowMs);
    return nowMs;
  }

  /** Notes the end of a batch. @param startMs what `begin` returned. */
  processed(count: number, startMs: number): void {
    const tookMs = this.#clock.monotonicMs() - startMs;
    this.process.noteMany(count, tookMs);
    this.group.process.noteMany(count, tookMs);
  }

  /** Runs a call of a punctuation. */
  punctuated(call: () => void): void {
    const startMs = this.#clock.monotonicMs();
    try {
      call();
    } finally {
      const endMs = this.#clock.monotonicMs();
      for (const { punctuate } of [this, this.group]) {
        punctuate.advance(endMs);
        punctuate.note(endMs - startMs);
      }
    }
  }

  /** Adds to the changes of a store. */
  changed(store: string, count: number): void {
    add(this.changes, store, count);
  }

  /** Adds to what was fetched of a topic. */
  consumed(topic: string, sizeBytes: number): void {
    add(this.consumedBytes, topic, sizeBytes);
  }

  /** The meter of a source or of a node that no other one follows. */
  endToEnd(node: string): EndToEndMeter {
    let found = this.#endToEnd.get(node);
    if (found === undefined) {
      found = new EndToEndMeter(this, this.#clock.monotonicMs());
      this.#endToEnd.set(node, found);
    }
    return found;
  }

  /** Those of all such nodes, by name. */
  get nodes(): ReadonlyMap<string, EndToEndMeter> {
    return this.#endToEnd;
  }
}

function add(counts: Map<string, number>, name: string, count: number): void {
  counts.set(name, (counts.get(name) ?? 0) + count);
}

/** The age of the records at a node, by their event time, when their batch began. */
export class EndToEndMeter {
  readonly meter: Meter;
  readonly #batch: { readonly nowMs: number };

  constructor(batch: { readonly nowMs: number }, nowMs: number) {
    this.#batch = batch;
    this.meter = new Meter(nowMs);
  }

  note(timestampMs: number): void {
    this.meter.note(this.#batch.nowMs - timestampMs);
  }
}

/** The meters of an application, which outlive its tasks. */
export class AppMeters {
  /** By name. */
  readonly groups = new Map<string, GroupMeters>();
  readonly #clock: Clock;
  readonly #tasks = new Map<string, TaskMeters>();
  /** Set when the application has ended: rates are then those of that moment. */
  #endedMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The time to read the meters by. */
  get nowMs(): number {
    return this.#endedMs ?? this.#clock.monotonicMs();
  }

  /** Called when the application has ended. */
  end(): void {
    this.#endedMs = this.#clock.monotonicMs();
  }

  group(name: string): GroupMeters {
    let found = this.groups.get(name);
    if (found === undefined) this.groups.set(name, (found = new GroupMeters(this.#clock)));
    return found;
  }

  /** Those of a task and of all that had its id before, now in this group. */
  task(id: string, group: string): TaskMeters {
    const groupMeters = this.group(group);
    let found = this.#tasks.get(id);
    if (found === undefined) {
      found = new TaskMeters(this.#clock, groupMeters);
      this.#tasks.set(id, found);
    }
    found.group = groupMeters;
    return found;
  }
}
