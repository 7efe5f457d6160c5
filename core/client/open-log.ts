import { resolve } from 'node:path';
import { Broker } from '../broker/broker.ts';
import { systemClock, type Clock } from '../clock.ts';
import { stderrLogger, type Logger } from '../logger.ts';
import { able, checkArgument, checkOptions, text, type OptionChecks } from '../options.ts';
import { systemRandom, type Random } from '../random.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { nodeFileSystem } from '../storage/node-fs.ts';
import { clockLike, loggerLike, randomLike } from './arguments.ts';
import { Log, type LogOptions } from './log.ts';

export interface OpenLogOptions {
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** Default: the machine's. */
  readonly random?: Random;
  /** Default: the machine's disk. */
  readonly fileSystem?: FileSystem;
}

const CHECKS: OptionChecks<OpenLogOptions> = {
  logger: loggerLike,
  clock: clockLike,
  random: randomLike,
  fileSystem: able('a file system', 'open', 'readFile', 'list'),
};

/** A log in a directory, with its broker in this process. Made by `openLog`. */
export class EmbeddedLog extends Log {
  /** Where the log lies, as an absolute path. */
  readonly directory: string;

  /** @internal `openLog` makes them. */
  constructor(broker: Broker, directory: string, options: LogOptions) {
    super(broker.api, { ...options, close: () => broker.close() });
    this.directory = directory;
  }
}

/**
 * Opens the log in `directory`, making one where there is none, and recovers what a crash left. One
 * process has a log open at a time.
 *
 * @throws LogError DIRECTORY_UNUSABLE, LOG_LOCKED with the owner's pid, CORRUPT_BATCH and
 *   CORRUPT_FILE with the place, UNKNOWN_OPTION, INVALID_OPTION
 *
 * @example
 * await using log = await openLog('./data');
 */
export async function openLog(
  directory: string,
  options: OpenLogOptions = {},
): Promise<EmbeddedLog> {
  checkArgument('openLog', 'directory', directory, text);
  checkOptions('openLog', options, CHECKS);
  const { logger = stderrLogger, clock = systemClock, random = systemRandom } = options;
  const { fileSystem = nodeFileSystem } = options;
  const path = resolve(directory);
  const broker = await Broker.open({ directory: path, fileSystem, clock, random, logger });
  return new EmbeddedLog(broker, path, { clock, random, logger });
}
