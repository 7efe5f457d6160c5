import type { Clock, Logger } from '../../core/index.ts';

/** The levels of Kafka Connect's loggers, from the one that writes most. */
export const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'OFF'] as const;
/** One of them. */
export type Level = (typeof LEVELS)[number];

/** The level of a logger, and when it was set; null if it never was. */
export interface LoggerLevel {
  readonly level: Level;
  readonly last_modified: number | null;
}

/** The logger that all others follow. */
const ROOT = 'root';

/**
 * Loggers whose levels can be changed while they are used: those that a REST service of connectors
 * shows at `/admin/loggers`. A logger without a level of its own has that of the nearest one above
 * it (`connect` above `connect.worker`), at last that of `root`.
 *
 * @example
 * const loggers = new Loggers(console, { level: 'INFO' });
 * const worker = new ConnectWorker(log, { plugins, logger: loggers.logger('connect.worker') });
 * const server = await serveConnect(worker, { loggers });
 */
export class Loggers {
  readonly #sink: Logger;
  readonly #clock: Clock;
  readonly #levels = new Map<string, LoggerLevel>();
  readonly #names = new Set<string>();

  /** @param sink gets every line that the levels let pass. */
  constructor(sink: Logger, options: { readonly level?: Level; readonly clock: Clock }) {
    this.#sink = sink;
    this.#clock = options.clock;
    this.#levels.set(ROOT, { level: options.level ?? 'WARN', last_modified: null });
  }

  /** The logger of a name, such as `connect.worker`. */
  logger(name: string): Logger {
    this.#names.add(name);
    const passes = (level: Level): boolean =>
      LEVELS.indexOf(level) >= LEVELS.indexOf(this.#effective(name).level);
    const sink = this.#sink;
    return {
      debug: (message, fields) => {
        if (passes('DEBUG')) sink.debug(message, fields);
      },
      info: (message, fields) => {
        if (passes('INFO')) sink.info(message, fields);
      },
      warn: (message, fields) => {
        if (passes('WARN')) sink.warn(message, fields);
      },
      error: (message, fields) => {
        if (passes('ERROR')) sink.error(message, fields);
      },
    };
  }

  /** Those that have a level of their own, by name. */
  levels(): Readonly<Record<string, LoggerLevel>> {
    return Object.fromEntries([...this.#levels].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The level of a logger, its own or the one that it follows; undefined if there is none. */
  level(name: string): LoggerLevel | undefined {
    const isKnown = this.#levels.has(name) || this.#names.has(name);
    return isKnown ? this.#effective(name) : undefined;
  }

  /** Sets the level of a logger and of all below it; returns their names. */
  setLevel(name: string, level: Level): string[] {
    const all = new Set([...this.#names, ...this.#levels.keys()]);
    const isBelow = (each: string): boolean => name === ROOT || each.startsWith(`${name}.`);
    const changed = [name, ...[...all].filter((each) => each !== name && isBelow(each))];
    const last_modified = this.#clock.nowMs();
    for (const each of changed) this.#levels.set(each, { level, last_modified });
    return changed.sort();
  }

  #effective(name: string): LoggerLevel {
    for (let at = name; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('.')))) {
      const own = this.#levels.get(at);
      if (own !== undefined) return own;
    }
    return this.#levels.get(ROOT) ?? { level: 'WARN', last_modified: null };
  }
}
