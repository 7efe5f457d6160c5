import type { Clock } from '../../clock.ts';
import { LogError } from '../../errors.ts';
import type { PartitionQueue } from './accumulator.ts';

/** A batch that waits or is being tried. */
interface Delivery {
  readonly queue: PartitionQueue;
  /** By the monotonic clock. */
  readonly createdMs: number;
}

/** Says of batches whether they have been tried for long enough. */
export class DeliveryTimeout {
  readonly #clock: Clock;
  readonly #deliveryTimeoutMs: number;

  constructor(clock: Clock, deliveryTimeoutMs: number) {
    this.#clock = clock;
    this.#deliveryTimeoutMs = deliveryTimeoutMs;
  }

  isOver({ createdMs }: Delivery): boolean {
    return this.#clock.monotonicMs() - createdMs >= this.#deliveryTimeoutMs;
  }

  /** Takes those out of `waiting` whose time is over. */
  takeFrom<D extends Delivery>(waiting: D[]): readonly D[] {
    const late = waiting.filter((each) => this.isOver(each));
    for (const each of late) waiting.splice(waiting.indexOf(each), 1);
    return late;
  }

  /**
   * What a batch fails with whose time is over, and that `cause` kept from being written: a full
   * disk keeps its code, by which callers know that the same call may succeed later.
   */
  error({ queue, createdMs }: Delivery, cause: LogError): LogError {
    const { topic, partition } = queue;
    const message =
      `records for ${topic}-${partition} could not be written within ` +
      `deliveryTimeoutMs=${this.#deliveryTimeoutMs}: ${cause.message}`;
    if (LogError.is(cause, 'DISK_FULL')) {
      return new LogError('DISK_FULL', message, cause.details, { cause });
    }
    const waitedMs = this.#clock.monotonicMs() - createdMs;
    return new LogError('DELIVERY_TIMEOUT', message, { topic, partition, waitedMs }, { cause });
  }
}
