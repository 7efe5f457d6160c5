/** The progress of one part of a job. */
export interface StageProgress {
  readonly kind: 'source' | 'topology' | 'sink';
  /**
   * The name of the connector or the job. A topology that repartitions has a stage for each
   * sub-topology, such as `job/0`, which reads all the records that reach it.
   */
  readonly name: string;
  /** Records processed in this run. */
  readonly records: number;
  /** Records a second, over the last seconds. */
  readonly recordsPerSecond: number;
  /** From 0 to 1, including earlier runs; undefined if the end is unknown. */
  readonly fraction: number | undefined;
  /** Offsets known but not yet read: records, markers and gaps. */
  readonly lag: number | undefined;
  /** The time left at this rate, in milliseconds. */
  readonly etaMs: number | undefined;
  /** True once it has ended with nothing left to do. */
  readonly isDone: boolean;
  /** True if it ended early: the job was stopped, or failed. */
  readonly isStopped: boolean;
}

/** The progress of a job. */
export interface JobProgress {
  readonly job: string;
  readonly elapsedMs: number;
  readonly stages: readonly StageProgress[];
}

/** A stage's figures at one moment. */
export interface StageReading {
  readonly kind: StageProgress['kind'];
  readonly name: string;
  readonly records: number;
  readonly fraction: number | undefined;
  readonly lag: number | undefined;
  readonly isDone: boolean;
  readonly isStopped: boolean;
}

/** The period over which a rate is measured. */
const RATE_WINDOW_MS = 3_000;

interface Sample {
  readonly atMs: number;
  readonly records: number;
  readonly fraction: number;
}

/** Computes rates and estimates from successive readings of one stage. */
export class StageMeter {
  readonly #samples: Sample[] = [];

  read(reading: StageReading, nowMs: number): StageProgress {
    const { records, fraction } = reading;
    this.#samples.push({ atMs: nowMs, records, fraction: fraction ?? 0 });
    while (this.#samples.length > 2 && nowMs - this.#samples[0]!.atMs > RATE_WINDOW_MS) {
      this.#samples.shift();
    }
    const first = this.#samples[0]!;
    const spanMs = nowMs - first.atMs;
    const recordsPerSecond = spanMs === 0 ? 0 : ((records - first.records) * 1000) / spanMs;
    return { ...reading, recordsPerSecond, etaMs: etaOf(reading, first, spanMs) };
  }
}

function etaOf(reading: StageReading, first: Sample, spanMs: number): number | undefined {
  const { fraction, isDone } = reading;
  if (isDone) return 0;
  if (fraction === undefined || fraction <= first.fraction) return undefined;
  return ((1 - fraction) * spanMs) / (fraction - first.fraction);
}
