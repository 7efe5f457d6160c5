import { resolve } from 'node:path';
import { Observable } from 'rxjs';
import { systemClock, type Clock } from '../clock.ts';
import { Broker } from '../broker/broker.ts';
import type { BrokerApi } from '../protocol/broker-api.ts';
import { LogError } from '../errors.ts';
import { stderrLogger, type Logger } from '../logger.ts';
import {
  able,
  anything,
  checkArgument,
  checkOptions,
  integer,
  text,
  type OptionChecks,
} from '../options.ts';
import { systemRandom, type Random } from '../random.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { pooledFiles } from '../storage/file-pool.ts';
import { nodeFileSystem } from '../storage/node-fs.ts';
import { openFilesLimit } from '../storage/open-files-limit.ts';
import { Admin } from './admin/admin.ts';
import { checkHandle, clockLike, loggerLike, randomLike } from './arguments.ts';
import type { ConsumerEnvironment, ConsumerOptions } from './consumer/consumer-options.ts';
import type { RecordOf } from './consumer/consumer-record.ts';
import { Consumer } from './consumer/consumer.ts';
import type { ProducerOptions } from './producer/producer-options.ts';
import { Producer } from './producer/producer.ts';
import type { AnyTopic } from './topic.ts';

export interface OpenLogOptions {
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly fileSystem?: FileSystem;
  /**
   * How many descriptors the log uses at once; the files that were used least recently give theirs
   * up. Default: half of what the process may open (`ulimit -n`), which all of its logs share. A
   * `fileSystem` of your own has no such limit unless you give one here.
   */
  readonly openFilesMax?: number;
}

const CHECKS: OptionChecks<OpenLogOptions> = {
  logger: loggerLike,
  clock: clockLike,
  random: randomLike,
  fileSystem: able('a file system', 'open', 'readFile', 'list'),
  openFilesMax: integer(1),
};

/** An open log: the door to producers, consumers and administration. Made by `openLog`. */
export class Log implements AsyncDisposable {
  /** What clients talk to; the same interface as a remote broker's. */
  readonly api: BrokerApi;
  readonly directory: string;
  readonly #broker: Broker;
  readonly #environment: Required<ConsumerEnvironment>;

  /** @internal `openLog` makes them. */
  constructor(broker: Broker, directory: string, environment: Required<ConsumerEnvironment>) {
    this.#broker = broker;
    this.api = broker;
    this.directory = directory;
    this.#environment = environment;
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
   * subscriber that is slower than the log makes it wait, and nothing is remembered.
   *
   * @throws LogError INVALID_OPTION for what is no topic; the rest goes to the subscriber.
   */
  tail$<T extends AnyTopic>(
    topic: T,
    options: Pick<ConsumerOptions, 'isolationLevel' | 'autoOffsetReset'> = {},
  ): Observable<RecordOf<T>> {
    checkHandle('tail$', topic);
    checkOptions('tail$', options, { isolationLevel: anything, autoOffsetReset: anything });
    return new Observable((subscriber) => {
      const stop = new AbortController();
      const consumer = this.consumer({
        autoOffsetReset: 'latest',
        ...options,
        signal: stop.signal,
      });
      const pump = async (): Promise<void> => {
        for await (const record of consumer.subscribe([topic])) subscriber.next(record);
      };
      pump().then(
        () => subscriber.complete(),
        (error: unknown) => {
          if (LogError.is(error, 'CLOSED')) subscriber.complete();
          else subscriber.error(error);
        },
      );
      return () => stop.abort();
    });
  }

  /**
   * Makes everything durable and frees the directory. The next opening has nothing to recover.
   *
   * @throws LogError KAFKA_STORAGE_ERROR, DISK_FULL: what was acknowledged is safe all the same.
   */
  close(): Promise<void> {
    return this.#broker.close();
  }

  /** As `close`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The files of the machine, as the logs of this process share them. Set by the first log. */
let machineFiles: FileSystem | undefined;

function filesOf({ fileSystem, openFilesMax }: OpenLogOptions): FileSystem {
  if (openFilesMax !== undefined) {
    return pooledFiles(fileSystem ?? nodeFileSystem, { openFilesMax });
  }
  // The other half is for the program around the log.
  const half = Math.max(1, Math.floor(openFilesLimit() / 2));
  return fileSystem ?? (machineFiles ??= pooledFiles(nodeFileSystem, { openFilesMax: half }));
}

/**
 * Opens the log in `directory`, making one where there is none, and recovers what a crash left. One
 * process has a log open at a time.
 *
 * @throws LogError DIRECTORY_UNUSABLE, LOG_LOCKED with the owner's pid, CORRUPT_BATCH and
 *   CORRUPT_FILE with the place, TOO_MANY_OPEN_FILES, UNKNOWN_OPTION, INVALID_OPTION
 *
 * @example
 * await using log = await openLog('./data');
 */
export async function openLog(directory: string, options: OpenLogOptions = {}): Promise<Log> {
  checkArgument('openLog', 'directory', directory, text);
  checkOptions('openLog', options, CHECKS);
  const { logger = stderrLogger, clock = systemClock, random = systemRandom } = options;
  const fileSystem = filesOf(options);
  const path = resolve(directory);
  const broker = await Broker.open({ directory: path, fileSystem, clock, random, logger });
  return new Log(broker, path, { clock, random, logger });
}
