/**
 * Topologies as data, which `millrace.ts` builds with our DSL and `Topologies.java` with that of
 * Kafka Streams. Functions are named; both sides have the same ones (`functions.ts`).
 */

/** A source and the steps behind it. */
export interface Chain {
  readonly from: 'stream' | 'table' | 'global' | 'versioned';
  readonly topic: string;
  /** For a versioned table: how long it keeps the past. */
  readonly historyMs?: number;
  /** Times come from values, and what happens to those that are invalid. */
  readonly times?: 'own' | 'fail' | 'skip' | 'previous';
  readonly steps: readonly Step[];
}

/** An operator. What its fields mean depends on it; `op` has the name that Kafka Streams uses. */
export interface Step {
  readonly op: string;
  /** The name of its function: a predicate, a mapper, a reducer ... */
  readonly fn?: string;
  /** Takes a value away again, when a table is aggregated. */
  readonly subtract?: string;
  /** How to group: `key`, or the function that makes the key (of a table: key and value). */
  readonly by?: string;
  /** Of an aggregation, or of the tables that it joins. */
  readonly windows?: Windows;
  readonly emit?: 'final';
  /**
   * Behind results of earlier times, so that its windows do not close before them. Of a processor:
   * without punctuations by stream time before the closing records.
   */
  readonly isPatient?: boolean;
  /** The name of its store; unique. Without it a table is not stored. */
  readonly store?: string;
  /** Names its repartition topic or its join; unique. */
  readonly name?: string;
  /** The other side of a join or merge; `self` for the same stream. */
  readonly with?: Chain | 'self';
  readonly graceMs?: number;
  readonly branches?: readonly Branch[];
  /** The topics of `tap` and `choose`, which write and pass everything on. */
  readonly topic?: string;
  readonly topics?: readonly [string, string];
  /** The other streams of a `cogroup`, and an adder for each stream. */
  readonly others?: readonly Chain[];
  readonly fns?: readonly string[];
  readonly limitMs?: number;
  readonly maxRecords?: number;
  /** Of a repartition topic. */
  readonly partitions?: number;
  /** Of `toTable`, whose table is versioned then. */
  readonly historyMs?: number;
}

/** A branch of `split` and what follows in it; all are merged behind it. */
export interface Branch {
  /** A predicate; without one it is the default branch, which comes last. `fork` has none. */
  readonly fn?: string;
  readonly steps: readonly Step[];
}

export type Windows =
  | { readonly kind: 'tumbling'; readonly sizeMs: number; readonly graceMs: number }
  | {
      readonly kind: 'hopping';
      readonly sizeMs: number;
      readonly advanceMs: number;
      readonly graceMs: number;
    }
  | { readonly kind: 'sliding'; readonly differenceMs: number; readonly graceMs: number }
  | { readonly kind: 'session'; readonly gapMs: number; readonly graceMs: number }
  | { readonly kind: 'unlimited'; readonly startMs: number }
  | {
      readonly kind: 'join';
      readonly beforeMs: number;
      readonly afterMs: number;
      readonly graceMs: number;
    };

/** A topology and its name; what comes out of the chain goes into the topic `out`. */
export interface Spec {
  readonly name: string;
  readonly chain: Chain;
  /** Whether groupings of the same stream share a repartition topic. */
  readonly isMerging?: boolean;
}

/** A string, a number, or either of them in a window. */
export type Value = string | number | WindowedValue;

export interface WindowedValue {
  readonly key: Value;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
}

/**
 * A record to pipe in: topic, key, value, time, and names and values of headers in turn. Without a
 * topic it moves the wall clock by this time.
 */
export type Input = readonly [
  topic: string,
  key: Value | null,
  value: Value | null,
  timestampMs: number,
  headers: readonly string[],
];

/** A record that came out, and the index of the input that caused it. */
export type Output = readonly [
  step: number,
  topic: string,
  key: Value | null,
  value: Value | null,
  timestampMs: number,
  headers: readonly string[],
];

/** An entry of a store; what it has depends on the kind of store. */
export type Entry = readonly unknown[];

/** Where entries may have expired: all are kept whose column is this time or later. */
export interface Bound {
  readonly column: number;
  readonly openMs: number;
}

/** What a topology made of an input. */
export interface Run {
  readonly outputs: readonly Output[];
  /** The entries of each store before the closing records. */
  readonly stores: Readonly<Record<string, readonly Entry[]>>;
  /** The input that ended the application. */
  readonly failedAt?: number;
  /** Of stores whose entries expire; ours has them. */
  readonly bounds?: Readonly<Record<string, Bound>>;
}

/** Whether the wall clock matters to a chain. */
export function hasClock(chain: Chain): boolean {
  return JSON.stringify(chain).includes('"fn":"flush"');
}

/** How many steps may hold results back, but at least one: each can wait for the one before it. */
export function waitsOf({ steps }: Chain): number {
  return Math.max(1, steps.filter(({ windows, limitMs }) => windows ?? limitMs).length);
}

/** True if stores are on disk in Kafka, which takes it ten times as long. */
export function isOnDisk(chain: Chain): boolean {
  const text = JSON.stringify(chain);
  const isFinalSession = text.includes('"session"') && text.includes('"final"');
  return isFinalSession || text.includes('"historyMs"') || text.includes('"fn":"versions"');
}

/** All topics that a chain reads. */
export function topicsOf(chain: Chain): string[] {
  const topics = new Set([chain.topic]);
  const visit = (steps: readonly Step[]): void => {
    for (const step of steps) {
      const others = [...(step.others ?? []), ...(isChain(step.with) ? [step.with] : [])];
      for (const other of others) for (const topic of topicsOf(other)) topics.add(topic);
      for (const branch of step.branches ?? []) visit(branch.steps);
    }
  };
  visit(chain.steps);
  return [...topics];
}

function isChain(value: Chain | 'self' | undefined): value is Chain {
  return typeof value === 'object';
}
