import type { Observable } from 'rxjs';
import { systemClock, type Clock } from '../clock.ts';
import type { BrokerApi } from '../protocol/broker-api.ts';
import { LogError } from '../errors.ts';
import { rxjs } from '../feed.ts';
import { stderrLogger, type Logger } from '../logger.ts';
import { anything, callback, checkOptions, type OptionChecks } from '../options.ts';
import { systemRandom, type Random } from '../random.ts';
import { Admin } from './admin/admin.ts';
import { checkHandle, clockLike, loggerLike, randomLike } from './arguments.ts';
import type { ConsumerEnvironment, ConsumerOptions } from './consumer/consumer-options.ts';
import type { RecordOf } from './consumer/consumer-record.ts';
import { Consumer } from './consumer/consumer.ts';
import type { ProducerOptions } from './producer/producer-options.ts';
import { Producer } from './producer/producer.ts';
import type { AnyTopic } from './topic.ts';

/** What a log needs besides a broker. */
export interface LogOptions {
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: the machine's. */
  readonly random?: Random;
  /**
   * Gives up what leads to the broker: a connection, a port, the broker itself. Default: there is
   * nothing to give up.
   */
  readonly close?: () => Promise<void>;
}

const CHECKS: OptionChecks<LogOptions> = {
  logger: loggerLike,
  clock: clockLike,
  random: randomLike,
  close: callback,
};

/**
 * A log, whichever broker keeps it: the door to producers, consumers and administration. `openLog`
 * makes one in a directory.
 */
export class Log implements AsyncDisposable {
  /** The broker that clients talk to. */
  readonly api: BrokerApi;
  readonly #environment: Required<ConsumerEnvironment>;
  readonly #close: () => Promise<void>;

  /**
   * A log on a broker that something else leads to.
   *
   * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
   */
  constructor(api: BrokerApi, options: LogOptions = {}) {
    checkOptions('Log', options, CHECKS);
    const { logger = stderrLogger, clock = systemClock, random = systemRandom } = options;
    this.api = api;
    this.#environment = { clock, random, logger };
    this.#close = options.close ?? (() => Promise.resolve());
  }

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  producer(options: ProducerOptions = {}): Producer {
    return new Producer(this.api, options, this.#environment);
  }

  /** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
  consumer(options: ConsumerOptions = {}): Consumer {
    return new Consumer(this.api, options, this.#environment);
  }

  /** Topics, groups and transactions: creating, listing, describing, changing, deleting. */
  admin(): Admin {
    return new Admin(this.api, this.#environment);
  }

  /**
   * What is written to a topic from now on, as it happens; for looking at, not for processing: a
   * subscriber that is slower than the log makes it wait, and nothing is remembered. Completes when
   * the log is closed; a subscription to a log that is closed already fails with CLOSED.
   *
   * @throws LogError INVALID_OPTION for what is no topic; the rest goes to the subscriber.
   */
  tail$<T extends AnyTopic>(
    topic: T,
    options: Pick<ConsumerOptions, 'isolationLevel' | 'autoOffsetReset'> = {},
  ): Observable<RecordOf<T>> {
    checkHandle('tail$', topic);
    checkOptions('tail$', options, { isolationLevel: anything, autoOffsetReset: anything });
    return new (rxjs().Observable)((subscriber) => {
      const stop = new AbortController();
      const consumer = this.consumer({
        autoOffsetReset: 'latest',
        ...options,
        signal: stop.signal,
      });
      let isTailing = false;
      const pump = async (): Promise<void> => {
        await this.api.metadata({ topics: [] }); // or the log is closed
        isTailing = true;
        for await (const record of consumer.subscribe([topic])) subscriber.next(record);
      };
      pump().then(
        () => subscriber.complete(),
        (error: unknown) => {
          if (isTailing && LogError.is(error, 'CLOSED')) subscriber.complete();
          else subscriber.error(error);
        },
      );
      return () => stop.abort();
    });
  }

  /**
   * Gives up what leads to the broker. Of a log that `openLog` opened this is the broker itself: it
   * makes everything durable and frees the directory, and the next opening has nothing to recover.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL: what was acknowledged is safe all the same.
   */
  close(): Promise<void> {
    return this.#close();
  }

  /** As `close`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
