import type { BatchHeader } from '../record/batch.ts';
import { present } from '../assert.ts';
import { newestEpoch, type LeaderEpochs } from './leader-epochs.ts';
import type { LogConfig } from './log-config.ts';
import type { LoadedLog } from './load/load.ts';
import { reloadLog } from './load/reload.ts';
import type { PartitionLogOptions } from './partition-log-options.ts';
import type { ProducerStates } from './producer-states.ts';
import { ReadPositions } from './segment/read-positions.ts';
import { closeAll, isRunOf, knownAborted, withInstead } from './segment/segment-list.ts';
import { Segment } from './segment/segment.ts';
import type { KnownAborted } from './segment/transaction-index.ts';

/** The in-memory state of a log: its segments and producers, up to the last append. */
export class LogContents {
  readonly positions = new ReadPositions();
  /** As the log had them when it was opened: no epoch begins while it is open. */
  readonly leaderEpochs: LeaderEpochs;
  readonly #options: PartitionLogOptions;
  #config: LogConfig;
  /** By rising base offset; the last one is appended to. Changes on roll, removal and reload. */
  #segments: Segment[];
  /** Replaced by a reload. */
  #producers: ProducerStates;
  /** Moves when records are deleted. */
  #logStartOffset: number;
  /** Rises with each checkpoint. */
  #recoveryPoint: number;

  constructor(options: PartitionLogOptions, loaded: LoadedLog, leaderEpochs: LeaderEpochs) {
    this.#options = options;
    this.leaderEpochs = leaderEpochs;
    this.#config = options.config;
    this.#segments = loaded.segments;
    this.#producers = loaded.producers;
    this.#logStartOffset = loaded.logStartOffset;
    this.#recoveryPoint = options.recoveryPoint;
  }

  get config(): LogConfig {
    return this.#config;
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  get producers(): ProducerStates {
    return this.#producers;
  }

  /** The first offset that can be read. */
  get logStartOffset(): number {
    return this.#logStartOffset;
  }

  /** Recovery trusts everything below without reading it: the end of the last checkpoint. */
  get recoveryPoint(): number {
    return this.#recoveryPoint;
  }

  /** Digests against which recovery checks the `.txnindex` files, up to the recovery point. */
  get knownAborted(): KnownAborted {
    return knownAborted(this.#segments, this.#recoveryPoint);
  }

  /** The segment that is appended to. */
  get active(): Segment {
    return present(this.#segments.at(-1), 'a log has at least one segment');
  }

  /** The offset that the next batch gets. */
  get nextOffset(): number {
    return this.active.nextOffset;
  }

  setConfig(config: LogConfig): void {
    this.#config = config;
  }

  /** Assigns offsets to the batch, in its bytes too, and adds it. Returns it with its offsets. */
  place(batch: Buffer, header: BatchHeader): BatchHeader {
    if (!this.active.hasRoomFor(header, this.#config)) this.roll();
    const led = { ...header, leaderEpoch: newestEpoch(this) };
    return this.active.place(batch, led, this.#config.indexIntervalBytes);
  }

  /** Begins a segment for the next batch. */
  roll(): void {
    const { fileSystem, directory } = this.#options;
    this.active.closeTimeIndex();
    this.#segments.push(new Segment(fileSystem, directory, this.nextOffset));
  }

  raiseRecoveryPoint(offset: number): void {
    this.#recoveryPoint = Math.max(this.#recoveryPoint, offset);
  }

  startAt(offset: number): void {
    this.#logStartOffset = offset;
  }

  /** Drops the oldest segment, whose files were removed. */
  dropOldest(): void {
    this.positions.forget(this.#segments[0]!);
    this.#segments = this.#segments.slice(1); // a new list: running reads use the old one
  }

  /** True if `some` are consecutive segments of the log. */
  has(some: readonly Segment[]): boolean {
    return isRunOf(this.#segments, some);
  }

  /** Replaces the segments that `segment`, whose files exist, was made from. */
  replace(old: readonly Segment[], cleaned: Segment): void {
    this.#segments = withInstead(this.#segments, old, cleaned);
    for (const segment of old) this.positions.forget(segment);
  }

  /**
   * Reloads the log from its files, up to `highWatermark`.
   *
   * @throws LogError as `reloadLog`.
   */
  async reload(highWatermark: number, durableOffset: number): Promise<void> {
    const before = this.#segments;
    const loaded = await reloadLog(before, highWatermark, {
      ...this.#options,
      config: this.#config,
      logStartOffset: this.#logStartOffset,
      recoveryPoint: durableOffset,
      knownAborted: this.knownAborted,
      nowMs: this.#options.clock.nowMs(),
    });
    this.#segments = loaded.segments;
    this.#producers = loaded.producers;
    this.positions.clear();
    await closeAll(before); // a read may have opened one again
  }
}
