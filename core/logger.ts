/** What Millrace has to say besides its results. Pino, winston and console fit as they are. */
export interface Logger {
  /** What helps to follow what happens. */
  debug(message: string): void;
  /** What an operator wants to see once. */
  info(message: string): void;
  /** What was dealt with, but should not have happened: a torn tail cut, a group not saved. */
  warn(message: string): void;
  /** What failed and no caller hears of. */
  error(message: string): void;
}

/** Says nothing. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Warnings and errors to stderr, the rest nowhere: the default. */
export const stderrLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message) => void process.stderr.write(`millrace: ${message}\n`),
  error: (message) => void process.stderr.write(`millrace: ${message}\n`),
};
