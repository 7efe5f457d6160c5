/** What Millrace has to say besides its results. Pino, winston and console fit as they are. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
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
