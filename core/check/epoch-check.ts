import { join } from 'node:path';
import { LEADER_EPOCH_FILE } from '../log/segment/file-names.ts';
import {
  encodeLeaderEpochs,
  epochAt,
  FIRST_LEADER_EPOCHS,
  withinLog,
  type LeaderEpoch,
} from '../log/leader-epochs.ts';
import { BATCH } from '../record/batch.ts';
import { REPAIR, type Finding } from './finding.ts';

/** The facts about a partition's epochs that are known before its batches are read. */
interface EpochFacts {
  readonly directory: string;
  /** The epochs in `leader-epoch-checkpoint`, or its fault. */
  readonly leaderEpochs: readonly LeaderEpoch[] | 'missing' | 'damaged';
  /** As recorded; default 0. */
  readonly logStartOffset: number;
  readonly isClean: boolean;
}

/** The epoch of a batch, and its position. */
interface BatchEpoch {
  readonly epoch: number;
  readonly file: string;
  readonly start: number;
  readonly offset: number;
}

/** The most differing batches to remember; if there are more, the file is wrong. */
const OTHERS_MAX = 1000;
const EPOCH_BYTES = 4;

/**
 * Compares the leader epochs of a partition's batches, which no checksum covers, with
 * `leader-epoch-checkpoint`. Epochs rise, so the check trusts whichever of the two makes sense.
 */
export class EpochCheck {
  readonly #facts: EpochFacts;
  readonly #recorded: readonly LeaderEpoch[];
  #count = 0;
  #otherCount = 0;
  /** The first batches whose epoch differs from the file. */
  readonly #others: BatchEpoch[] = [];
  /** The batches whose epoch differs from that of the previous one. */
  readonly #changes: LeaderEpoch[] = [];
  #isRising = true;

  constructor(facts: EpochFacts) {
    this.#facts = facts;
    this.#recorded = typeof facts.leaderEpochs === 'string' ? [] : facts.leaderEpochs;
  }

  push(batch: BatchEpoch): void {
    const { epoch, offset } = batch;
    this.#count++;
    const last = this.#changes.at(-1);
    if (epoch !== last?.epoch && this.#changes.length < OTHERS_MAX) {
      this.#isRising &&= last === undefined || epoch > last.epoch;
      this.#changes.push({ epoch, startOffset: offset });
    }
    const expected = epochAt(this.#recorded, offset);
    // The file no longer covers batches below the first record.
    if (epoch === expected) return;
    if (expected === undefined && epoch <= (this.#recorded[0]?.epoch ?? -1)) return;
    this.#otherCount++;
    if (this.#others.length < OTHERS_MAX) this.#others.push(batch);
  }

  /** The required epoch of a batch at `offset`. */
  epochAt(offset: number): number {
    return epochAt(this.#recorded, offset) ?? this.#changes.at(-1)?.epoch ?? 0;
  }

  /** The alterations in a partition whose segments hold [firstOffset, nextOffset). */
  finish(firstOffset: number, nextOffset: number): Finding[] {
    const { leaderEpochs, logStartOffset } = this.#facts;
    const startOffset = Math.max(firstOffset, logStartOffset);
    const fault = this.#faultOfFile(startOffset, nextOffset);
    if (fault === undefined) return this.#others.map((batch) => this.#altered(batch));
    const file = join(this.#facts.directory, LEADER_EPOCH_FILE);
    const content = encodeLeaderEpochs(this.#fromBatches(startOffset, nextOffset));
    const what = typeof leaderEpochs === 'string' ? `it is ${leaderEpochs}` : fault;
    const meaning =
      'No record is affected. The next opening, or Kafka, may continue with an older epoch. ' +
      `Rebuild it: ${REPAIR}`;
    return [
      { severity: 'problem', file, what, meaning, mends: [{ kind: 'write', file, content }] },
    ];
  }

  #faultOfFile(startOffset: number, nextOffset: number): string | undefined {
    const { leaderEpochs, isClean } = this.#facts;
    if (typeof leaderEpochs === 'string') return leaderEpochs;
    const [first, last] = [this.#recorded[0], this.#recorded.at(-1)];
    const isAll = this.#otherCount > 0 && this.#otherCount === this.#count;
    if (isAll || this.#otherCount > (this.#isRising ? 1 : OTHERS_MAX)) {
      const { epoch, offset } = this.#others[0]!;
      return `it does not say that epoch ${epoch} leads at offset ${offset}, as the batches do`;
    }
    // After a crash, log and file may differ in their ends; the opening corrects the file.
    if (!isClean || first === undefined) return undefined;
    if (first.startOffset > startOffset) return `it does not say who leads at ${startOffset}`;
    return last!.startOffset > nextOffset ? `it reaches behind offset ${nextOffset}` : undefined;
  }

  /** The epochs according to the batches; counts a single deviating batch as altered. */
  #fromBatches(startOffset: number, nextOffset: number): LeaderEpoch[] {
    let least = Infinity;
    const epochs: LeaderEpoch[] = [];
    for (const change of this.#changes.toReversed()) {
      least = Math.min(least, change.epoch);
      if (epochs[0]?.epoch === least) epochs.shift();
      epochs.unshift({ epoch: least, startOffset: change.startOffset });
    }
    const newest = this.#recorded.at(-1);
    const isLater = newest !== undefined && newest.epoch > (epochs.at(-1)?.epoch ?? -1);
    // The last leader may have written nothing.
    if (isLater && (this.#count === 0 || newest.startOffset >= nextOffset)) epochs.push(newest);
    const [first = FIRST_LEADER_EPOCHS[0]!, ...rest] = epochs;
    const all = [{ ...first, startOffset: Math.min(first.startOffset, startOffset) }, ...rest];
    return withinLog(all, startOffset, nextOffset);
  }

  #altered({ epoch, file, start, offset }: BatchEpoch): Finding {
    const expected = epochAt(this.#recorded, offset) ?? this.#recorded[0]!.epoch;
    const replacement = Buffer.alloc(EPOCH_BYTES);
    replacement.writeInt32BE(expected);
    const positionBytes = start + BATCH.partitionLeaderEpoch;
    const edit = { start: positionBytes, end: positionBytes + EPOCH_BYTES, replacement };
    return {
      severity: 'problem',
      file,
      positionBytes,
      offset,
      what: `the batch has leader epoch ${epoch}, and the partition ${expected}`,
      meaning: `No record is affected. Correct the epoch: ${REPAIR}`,
      mends: [{ kind: 'edit', file, edit }],
    };
  }
}
