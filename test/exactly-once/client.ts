import type { Log, Random, Topic } from '../../core/index.ts';
import type { Topology } from '../../streams/index.ts';

/** A record of the input. */
export interface InputRecord {
  readonly key: string;
  readonly value: number;
  readonly timestampMs: number;
  /** By default that of the key. */
  readonly partition?: number;
}

/** A run of a driver. */
export interface Run {
  readonly seed: number;
  /** How many processes are killed. */
  readonly kills: number;
}

/**
 * An application that is killed, the input that is written meanwhile, and what its results have to
 * be.
 */
export interface Client {
  readonly applicationId: string;
  readonly input: Topic<string, number>;
  /** All topics besides, which have to exist. */
  readonly topics: readonly Topic<string, number>[];
  readonly topology: () => Topology;
  /** What a process writes until it is killed; `before` is what the topic has already. */
  readonly inputOf: (
    run: Run,
    before: readonly { readonly key: string | null; readonly value: number | null }[],
    random: Random,
  ) => Iterable<InputRecord>;
  /** Whether `inputOf` ends by itself; the last process writes what is left of it. */
  readonly isLimited: boolean;
  /** What the last process writes at the end, after the rest of a limited input. */
  readonly lastInput: readonly InputRecord[];
  /** Records between two pauses of a millisecond. */
  readonly pace: number;
  /**
   * What is wrong with the results. `isOver` when the application has processed all its input;
   * otherwise it was killed, and its results are those of what it has committed.
   */
  readonly check: (log: Log, run: Run, isOver: boolean) => Promise<string[]>;
}
