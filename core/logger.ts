/** Receives reports of Millrace besides its results. Pino, winston and console fit as they are. */
export interface Logger {
  /** Details that help to follow what happens. */
  debug(message: string): void;
  /** Events that an operator wants to see once. */
  info(message: string): void;
  /** Problems that were handled but should not have happened: a torn tail, an unsaved group. */
  warn(message: string): void;
  /** Failures that reach no caller. */
  error(message: string): void;
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
