/**
 * What a producer has done since it was made, in Kafka's names (`producer-metrics`). Averages are
 * over its whole life, where Kafka's are over the last 30 s.
 */
export interface ProducerMetrics {
  /** Records handed to the broker, each counted once. */
  readonly recordSendTotal: number;
  /** Records that failed, sent or not; those that could not be serialised are not among them. */
  readonly recordErrorTotal: number;
  /** Records sent again. */
  readonly recordRetryTotal: number;
  /** Bytes handed to the broker, compressed and with headers of batches, each counted once. */
  readonly outgoingByteTotal: number;
  readonly requestTotal: number;
  readonly batchTotal: number;
  /** Batches that were too large for their topic and were split. */
  readonly batchSplitTotal: number;
  /** Bytes of a batch as it was sent; 0 before the first one. */
  readonly batchSizeAvg: number;
  readonly batchSizeMax: number;
  /** Bytes sent for each byte before compression; 0 before the first batch. */
  readonly compressionRateAvg: number;
  /** How long batches waited from their first record until they were sent, in milliseconds. */
  readonly recordQueueTimeAvgMs: number;
  readonly recordQueueTimeMaxMs: number;
  /** How long requests took, in milliseconds. */
  readonly requestLatencyAvgMs: number;
  readonly requestLatencyMaxMs: number;
  /** Requests under way now. */
  readonly requestsInFlight: number;
  /** Bytes that wait or are under way now, and how many may. */
  readonly bufferUsedBytes: number;
  readonly bufferTotalBytes: number;
  /** Calls of `send` that failed with BUFFER_EXHAUSTED. */
  readonly bufferExhaustedTotal: number;
}

/** One batch as it is sent for the first time. */
interface FirstSend {
  readonly recordCount: number;
  readonly sizeBytes: number;
  /** Before compression. */
  readonly plainBytes: number;
  readonly queuedMs: number;
}

/** Counts what a sender does: a few additions a batch, nothing a record. */
export class SendCounters {
  #records = 0;
  #errors = 0;
  #retries = 0;
  #bytes = 0;
  #plainBytes = 0;
  #batches = 0;
  #largestBytes = 0;
  #queuedMs = 0;
  #longestQueuedMs = 0;
  #requests = 0;
  #answers = 0;
  #latencyMs = 0;
  #longestLatencyMs = 0;
  #splits = 0;
  #exhausted = 0;

  sent({ recordCount, sizeBytes, plainBytes, queuedMs }: FirstSend): void {
    this.#records += recordCount;
    this.#bytes += sizeBytes;
    this.#plainBytes += plainBytes;
    this.#batches++;
    this.#largestBytes = Math.max(this.#largestBytes, sizeBytes);
    this.#queuedMs += queuedMs;
    this.#longestQueuedMs = Math.max(this.#longestQueuedMs, queuedMs);
  }

  retried(recordCount: number): void {
    this.#retries += recordCount;
  }

  failed(recordCount: number): void {
    this.#errors += recordCount;
  }

  split(): void {
    this.#splits++;
  }

  exhausted(): void {
    this.#exhausted++;
  }

  requested(): void {
    this.#requests++;
  }

  answered(latencyMs: number): void {
    this.#answers++;
    this.#latencyMs += latencyMs;
    this.#longestLatencyMs = Math.max(this.#longestLatencyMs, latencyMs);
  }

  metrics(buffer: { readonly usedBytes: number; readonly limitBytes: number }): ProducerMetrics {
    return {
      recordSendTotal: this.#records,
      recordErrorTotal: this.#errors,
      recordRetryTotal: this.#retries,
      outgoingByteTotal: this.#bytes,
      requestTotal: this.#requests,
      batchTotal: this.#batches,
      batchSplitTotal: this.#splits,
      batchSizeAvg: average(this.#bytes, this.#batches),
      batchSizeMax: this.#largestBytes,
      compressionRateAvg: average(this.#bytes, this.#plainBytes),
      recordQueueTimeAvgMs: average(this.#queuedMs, this.#batches),
      recordQueueTimeMaxMs: this.#longestQueuedMs,
      requestLatencyAvgMs: average(this.#latencyMs, this.#answers),
      requestLatencyMaxMs: this.#longestLatencyMs,
      requestsInFlight: this.#requests - this.#answers,
      bufferUsedBytes: buffer.usedBytes,
      bufferTotalBytes: buffer.limitBytes,
      bufferExhaustedTotal: this.#exhausted,
    };
  }
}

function average(sum: number, count: number): number {
  return count === 0 ? 0 : sum / count;
}
