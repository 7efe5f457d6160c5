import type { LogError, TopicWriter } from '../../core/index.ts';
import type { RecordWriter } from './outputs.ts';

/**
 * Watches writes outside a transaction: nothing else reports a refused batch there, and a commit of
 * the input would count its records as written.
 */
export class Deliveries {
  #failure: LogError | undefined;

  watch(writer: TopicWriter<unknown, unknown>): RecordWriter {
    const failed = (error: LogError): void => {
      this.#failure ??= error;
    };
    return {
      partitions: writer.partitions,
      write: (key, value, timestampMs, headers, partition) => {
        const batch = writer.write(key, value, timestampMs, headers, partition);
        if (batch.watcher === this) return;
        batch.watcher = this; // once per batch
        batch.awaitFailure(failed);
      },
    };
  }

  /** @throws LogError the error of a failed batch. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
