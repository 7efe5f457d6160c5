import type { LogError, TopicWriter } from '../../core/index.ts';
import type { RecordWriter } from './outputs.ts';

/**
 * Watches what is written outside of a transaction: there a batch that is refused has nobody else
 * to tell of it, and a commit of the input would count its records as written.
 */
export class Deliveries {
  #failure: LogError | undefined;

  watch(writer: TopicWriter<unknown, unknown>): RecordWriter {
    const failed = (error: LogError): void => {
      this.#failure ??= error;
    };
    return {
      write: (key, value, timestampMs, headers, partition) => {
        const batch = writer.write(key, value, timestampMs, headers, partition);
        if (batch.watcher === this) return;
        batch.watcher = this; // once a batch is enough: it fails as a whole
        batch.awaitNewest(arrived, failed);
      },
    };
  }

  /** @throws LogError what a batch failed with. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function arrived(): void {
  // nothing to do
}
