import { isDeepStrictEqual } from 'node:util';
import {
  BUILT_IN_PLUGINS,
  ConnectWorker,
  explainConfig,
  PluginRegistry,
  validateConnector,
  type ConfigSchema,
  type ConnectorStatus,
} from '../connect/index.ts';
import { openLog, systemClock, type Logger } from '../core/index.ts';
import { sleep } from '../core/internal.ts';
import { Loggers, serveConnect, type ConnectServer } from '../services/connect/index.ts';
import { keepWorking } from './closed-output.ts';
import { remotePlugins } from './connect-client.ts';
import {
  checkConnectors,
  loadConnectors,
  notConnectors,
  type LoadedConnectors,
} from './load-connectors.ts';
import { StopSignals } from './stop-signals.ts';
import { count, print, printJson } from './verify.ts';

/** The flags of `millrace connect run`. */
export interface ConnectRunFlags {
  readonly data: string;
  readonly json?: boolean;
  /** In seconds. */
  readonly stopTimeout: number;
  /** The port of the REST service; undefined for none. */
  readonly rest?: number;
  readonly restHost: string;
  readonly allowRoot: readonly string[];
}

/** How often the states of connectors are looked at. */
const LOOK_MS = 100;

/**
 * Runs the connectors of a file, and those that the log has already, to their ends or Ctrl-C. While
 * they are served by REST, only to Ctrl-C: new ones may come.
 */
export async function connectRunCommand(
  file: string | undefined,
  flags: ConnectRunFlags,
): Promise<void> {
  keepWorking();
  const loaded = await connectorsOf(file, flags);
  await checkConnectors(loaded);
  const { connectors, plugins } = loaded;
  const loggers = new Loggers(STDERR, { clock: systemClock });
  await using log = await openLog(flags.data, { logger: loggers.logger('log') });
  const worker = new ConnectWorker(log, {
    ...{ plugins, stopTimeoutMs: flags.stopTimeout * 1000 },
    logger: loggers.logger('connect.worker'),
  });
  await worker.start();
  const known = new Map(worker.statuses().map((status) => [status.name, status.definition]));
  for (const definition of connectors) {
    // One that is as it was runs already.
    if (!isDeepStrictEqual(known.get(definition.name), definition)) await worker.update(definition);
  }
  const stop = new StopSignals();
  let server: ConnectServer | undefined;
  try {
    server = await serve(worker, loggers, flags);
    const report = reportTo(flags);
    for (;;) {
      const statuses = worker.statuses();
      report(statuses);
      const isOver = server === undefined && !statuses.some(isActive);
      if (stop.signal.aborted || isOver) break;
      await sleep(systemClock, LOOK_MS);
    }
    await server?.close();
    const late = await worker.close();
    report(worker.statuses());
    if (late.length > 0) process.stderr.write(`millrace: still at work: ${late.join(', ')}\n`);
    summarize(worker.statuses(), flags);
    if (stop.signal.aborted) process.exitCode = stop.exitCode;
  } catch (error) {
    await server?.close();
    await worker.close();
    throw error;
  } finally {
    stop.end();
  }
}

/** Those of the file; without one there are only those of the log and of REST. */
async function connectorsOf(
  file: string | undefined,
  { rest }: ConnectRunFlags,
): Promise<LoadedConnectors> {
  if (file !== undefined) return loadConnectors(file);
  if (rest === undefined) throw notConnectors('nothing', 'give a file, or --rest');
  const pathOf = (_: number, field: string): string => field;
  return { connectors: [], plugins: BUILT_IN_PLUGINS, document: undefined, pathOf };
}

/** Every line that the levels let pass goes to stderr. */
const STDERR: Logger = {
  debug: toStderr,
  info: toStderr,
  warn: toStderr,
  error: toStderr,
};

function toStderr(message: string): void {
  process.stderr.write(`millrace: ${message}\n`);
}

/** Serves the worker by REST, if it is to be. */
async function serve(
  worker: ConnectWorker,
  loggers: Loggers,
  { rest: port, restHost: host, allowRoot: allowedRoots, json = false }: ConnectRunFlags,
): Promise<ConnectServer | undefined> {
  if (port === undefined) return undefined;
  const server = await serveConnect(worker, { host, port, allowedRoots, loggers });
  const { url } = server;
  if (json) printJson({ type: 'rest', url });
  else toStderr(`connectors are served at ${url}`);
  return server;
}

/** Prints every mistake in the connectors of a file; runs nothing, and opens no log. */
export async function connectValidateCommand(
  file: string,
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  const { connectors, plugins, document, pathOf } = await loadConnectors(file);
  let mistakes = 0;
  for (const [index, definition] of connectors.entries()) {
    const issues = await validateConnector(definition, { plugins });
    mistakes += issues.length;
    const { name } = definition;
    if (json) printJson({ name, issues });
    else {
      for (const { field, problem } of issues) {
        const { line, column } = document?.placeOf(pathOf(index, field)) ?? {};
        const place = line === undefined ? '' : ` (line ${line}, column ${column})`;
        print(`${name}: ${field}: ${problem}${place}`);
      }
    }
  }
  if (mistakes > 0) process.exitCode = 1;
  if (!json) print(mistakes === 0 ? 'OK' : `${count(mistakes)} mistakes`);
}

/** Lists the plugins, or tells what the config of one may say. */
export async function connectPluginsCommand(
  name: string | undefined,
  { json = false, url }: { readonly json?: boolean; readonly url?: string },
): Promise<void> {
  if (url !== undefined) {
    await remotePlugins(name, { url, json });
    return;
  }
  const registry = new PluginRegistry(BUILT_IN_PLUGINS);
  const kinds = ['source', 'sink', 'transform', 'predicate'] as const;
  const chosen = name === undefined ? registry.list() : [registry.find(name, ...kinds)];
  for (const { kind, name: each, doc, config } of chosen) {
    const fields = 'fields' in config ? explainConfig(config as ConfigSchema<unknown>) : [];
    if (json) printJson({ kind, name: each, doc, config: fields });
    else {
      print(`${each} (${kind}): ${doc}`);
      if (name !== undefined) for (const line of fields) print(`  ${line}`);
    }
  }
}

function isActive({ state }: ConnectorStatus): boolean {
  return state !== 'STOPPED' && state !== 'FAILED';
}

/** Prints each change of a state: to stderr, or as JSON to stdout. */
function reportTo({ json = false }: ConnectRunFlags): (statuses: ConnectorStatus[]) => void {
  const last = new Map<string, string>();
  return (statuses) => {
    for (const { name, state, retry, failure } of statuses) {
      if (last.get(name) === state) continue;
      last.set(name, state);
      const reason = retry?.cause.message ?? failure?.message;
      if (json) printJson({ type: 'state', name, state, ...(reason !== undefined && { reason }) });
      else process.stderr.write(`millrace: ${name}: ${state}${reason ? `: ${reason}` : ''}\n`);
    }
  };
}

/** Prints what became of each; one that failed fails the command. */
function summarize(statuses: readonly ConnectorStatus[], { json = false }: ConnectRunFlags): void {
  for (const { name, state, progress, failure } of statuses) {
    if (failure !== undefined) process.exitCode = 1;
    const { committedRecords: records = 0, failed } = progress ?? {};
    if (json) {
      printJson({ type: 'summary', name, state, records, failed });
      continue;
    }
    const { skipped = 0, deadLettered = 0 } = failed ?? {};
    const bad = `${count(skipped)} skipped, ${count(deadLettered)} dead letters`;
    print(`${name}: ${state}, ${count(records)} records, ${bad}`);
  }
}
