/** How far one part of a job has come. */
export interface StageProgress {
  readonly kind: 'source' | 'topology' | 'sink';
  /**
   * Of the connector, or of the job. A topology that repartitions has a stage for each of its
   * sub-topologies, such as `job/0`: each of them reads all the records that reach it.
   */
  readonly name: string;
  /** Records that went through in this run. */
  readonly records: number;
  /** Records a second, over the last seconds. */
  readonly recordsPerSecond: number;
  /** From 0 to 1, what former runs did included; undefined where the end is not known. */
  readonly fraction: number | undefined;
  /** Offsets that wait in front of it, as far as it knows: records, markers and gaps. */
  readonly lag: number | undefined;
  /** What is left at this rate, in milliseconds. */
  readonly etaMs: number | undefined;
  /** It came to its end: nothing is left to do. */
  readonly isDone: boolean;
  /** It ended before that: the job was stopped, or failed. */
  readonly isStopped: boolean;
}

/** How far a job has come. */
export interface JobProgress {
  readonly job: string;
  readonly elapsedMs: number;
  readonly stages: readonly StageProgress[];
}

/** What a stage can say of itself at a moment. */
export interface StageReading {
  readonly kind: StageProgress['kind'];
  readonly name: string;
  readonly records: number;
  readonly fraction: number | undefined;
  readonly lag: number | undefined;
  readonly isDone: boolean;
  readonly isStopped: boolean;
}

/** Over how long a rate is taken. */
const RATE_WINDOW_MS = 3_000;

interface Sample {
  readonly atMs: number;
  readonly records: number;
  readonly fraction: number;
}

/** Makes rates and estimates of successive readings of one stage. */
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
