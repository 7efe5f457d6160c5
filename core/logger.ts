import { systemClock, type Clock } from './clock.ts';

/** What a line in the log is about, besides its text, as far as it is known. */
export interface LogFields {
  /** Of an application of streams. */
  readonly applicationId?: string;
  /** Its task: sub-topology and partition, such as `1_3`. */
  readonly taskId?: string;
  /** The node of the topology. */
  readonly node?: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
  /** The code of the error. */
  readonly code?: string;
}

/**
 * Receives reports of Millrace besides its results. Winston and console fit as they are; pino, too,
 * but it needs `fieldsFirst` to see the fields.
 */
export interface Logger {
  /** Details that help to follow what happens. */
  debug(message: string, fields?: LogFields): void;
  /** Events that an operator wants to see once. */
  info(message: string, fields?: LogFields): void;
  /** Problems that were handled but should not have happened: a torn tail, an unsaved group. */
  warn(message: string, fields?: LogFields): void;
  /** Failures that reach no caller. */
  error(message: string, fields?: LogFields): void;
}

/** A logger that takes fields before the text, as pino and bunyan do. */
export interface FieldsFirstLogger {
  /** As `Logger.debug`. */
  debug(fields: object, message: string): void;
  /** As `Logger.info`. */
  info(fields: object, message: string): void;
  /** As `Logger.warn`. */
  warn(fields: object, message: string): void;
  /** As `Logger.error`. */
  error(fields: object, message: string): void;
}

/** Discards everything. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** The default: writes warnings and errors to stderr and discards the rest. */
export const stderrLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message) => void process.stderr.write(`millrace: ${message}\n`),
  error: (message) => void process.stderr.write(`millrace: ${message}\n`),
};

/**
 * Makes a logger of one that takes the fields before the text.
 *
 * @example
 * new StreamsApp(log, topology, { applicationId: 'orders', logger: fieldsFirst(pino()) });
 */
export function fieldsFirst(logger: FieldsFirstLogger): Logger {
  return {
    debug: (message, fields = {}) => logger.debug(fields, message),
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
  };
}

/**
 * Writes each line but those of `debug` as an object of JSON: `time` in ISO 8601, `level`,
 * `message`, and the fields.
 *
 * @param write takes a line, without its end. Default: writes to stderr.
 */
export function jsonLogger(
  write: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
  clock: Clock = systemClock,
): Logger {
  const log =
    (level: string) =>
    (message: string, fields?: LogFields): void => {
      const time = new Date(clock.nowMs()).toISOString();
      write(JSON.stringify({ time, level, message, ...fields }));
    };
  return { debug: () => undefined, info: log('info'), warn: log('warn'), error: log('error') };
}

/** A logger that adds fields to those of each line. */
export function withFields(logger: Logger, own: LogFields): Logger {
  return {
    debug: (message, fields) => logger.debug(message, { ...own, ...fields }),
    info: (message, fields) => logger.info(message, { ...own, ...fields }),
    warn: (message, fields) => logger.warn(message, { ...own, ...fields }),
    error: (message, fields) => logger.error(message, { ...own, ...fields }),
  };
}
