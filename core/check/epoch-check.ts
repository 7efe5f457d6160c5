import { BATCH } from '../record/batch.ts';
import { REPAIR, type Finding } from './finding.ts';

/** The epoch of a batch, and where it stands. */
interface BatchEpoch {
  readonly epoch: number;
  readonly file: string;
  readonly start: number;
  readonly offset: number;
}

/** Kept of batches that differ; more would be a log of another making, not damage. */
const OTHERS_MAX = 1000;
const EPOCH_BYTES = 4;

/**
 * The leader epochs of a partition's batches. They are not under the checksum, and only one process
 * ever leads here, so the few that differ from the rest were altered.
 */
export class EpochCheck {
  #first: BatchEpoch | undefined;
  #sameCount = 0;
  /** The first few that have another epoch than the first batch. */
  readonly #others: BatchEpoch[] = [];

  push(batch: BatchEpoch): void {
    this.#first ??= batch;
    if (batch.epoch === this.#first.epoch) this.#sameCount++;
    else if (this.#others.length < OTHERS_MAX) this.#others.push(batch);
  }

  /**
   * What was altered, and the epoch that the batches have if it is one.
   *
   * @param recorded the epoch that `leader-epoch-checkpoint` names, if it names one.
   */
  finish(recorded: number | undefined): {
    readonly findings: readonly Finding[];
    readonly epoch: number | undefined;
  } {
    const first = this.#first;
    if (first === undefined) return { findings: [], epoch: undefined };
    if (this.#others.length === 0 || this.#others.length === OTHERS_MAX) {
      return { findings: [], epoch: this.#others.length === 0 ? first.epoch : undefined };
    }
    if (recorded === undefined) return { findings: [], epoch: undefined };
    const altered = first.epoch === recorded ? this.#others : [first];
    return { findings: altered.map((batch) => toFinding(batch, recorded)), epoch: recorded };
  }
}

function toFinding({ epoch, file, start, offset }: BatchEpoch, recorded: number): Finding {
  const replacement = Buffer.alloc(EPOCH_BYTES);
  replacement.writeInt32BE(recorded);
  const positionBytes = start + BATCH.partitionLeaderEpoch;
  const edit = { start: positionBytes, end: positionBytes + EPOCH_BYTES, replacement };
  return {
    severity: 'problem',
    file,
    positionBytes,
    offset,
    what: `the batch has leader epoch ${epoch}, and the partition ${recorded}`,
    meaning: `No record is touched; the epoch is to be put right: ${REPAIR}`,
    mends: [{ kind: 'edit', file, edit }],
  };
}
