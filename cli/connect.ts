import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import {
  BUILT_IN_PLUGINS,
  ConnectWorker,
  explainConfig,
  PluginRegistry,
  validateConnector,
  type ConfigSchema,
  type ConnectorDefinition,
  type ConnectorStatus,
  type ConnectPlugin,
} from '../connect/index.ts';
import { LogError, openLog, systemClock } from '../core/index.ts';
import { sleep } from '../core/internal.ts';
import { keepWorking } from './closed-output.ts';
import { registerTypeScript } from './load-job.ts';
import { StopSignals } from './stop-signals.ts';
import { count, print, printJson } from './verify.ts';

/** The flags of `millrace connect run`. */
export interface ConnectRunFlags {
  readonly data: string;
  readonly json?: boolean;
  /** In seconds. */
  readonly stopTimeout: number;
}

/** What a file for `millrace connect` has. */
interface ConnectFile {
  /** Files of plugins, relative to this one: each exports one, or a list, as its default. */
  readonly plugins?: readonly string[];
  readonly connectors: readonly ConnectorDefinition[];
}

/** How often the states of connectors are looked at. */
const LOOK_MS = 100;

/** Runs the connectors of a file, and those that the log has already, to their ends or Ctrl-C. */
export async function connectRunCommand(file: string, flags: ConnectRunFlags): Promise<void> {
  keepWorking();
  const { connectors, plugins } = await loadConnectors(file);
  await using log = await openLog(flags.data);
  const worker = new ConnectWorker(log, {
    ...{ plugins, stopTimeoutMs: flags.stopTimeout * 1000 },
  });
  await worker.start();
  const known = new Map(worker.statuses().map((status) => [status.name, status.definition]));
  for (const definition of connectors) {
    // One that is as it was runs already.
    if (!isDeepStrictEqual(known.get(definition.name), definition)) await worker.update(definition);
  }
  const stop = new StopSignals();
  try {
    const report = reportTo(flags);
    for (;;) {
      const statuses = worker.statuses();
      report(statuses);
      if (stop.signal.aborted || !statuses.some(isActive)) break;
      await sleep(systemClock, LOOK_MS);
    }
    const late = await worker.close();
    report(worker.statuses());
    if (late.length > 0) process.stderr.write(`millrace: still at work: ${late.join(', ')}\n`);
    summarize(worker.statuses(), flags);
    if (stop.signal.aborted) process.exitCode = stop.exitCode;
  } finally {
    stop.end();
  }
}

/** Prints every mistake in the connectors of a file; runs nothing, and opens no log. */
export async function connectValidateCommand(
  file: string,
  { json = false }: { readonly json?: boolean },
): Promise<void> {
  const { connectors, plugins } = await loadConnectors(file);
  let mistakes = 0;
  for (const definition of connectors) {
    const issues = await validateConnector(definition, { plugins });
    mistakes += issues.length;
    const { name } = definition;
    if (json) printJson({ name, issues });
    else for (const { field, problem } of issues) print(`${name}: ${field}: ${problem}`);
  }
  if (mistakes > 0) process.exitCode = 1;
  if (!json) print(mistakes === 0 ? 'OK' : `${count(mistakes)} mistakes`);
}

/** Lists the plugins, or tells what the config of one may say. */
export function connectPluginsCommand(
  name: string | undefined,
  { json = false }: { readonly json?: boolean },
): void {
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

/** Reads a file of connectors, and the plugins that it names. */
async function loadConnectors(
  file: string,
): Promise<{ connectors: readonly ConnectorDefinition[]; plugins: readonly ConnectPlugin[] }> {
  const path = resolve(file);
  if (!existsSync(path)) throw notConnectors(file, 'there is no such file');
  const content: unknown =
    extname(path) === '.json' ? parseJson(file, path) : await loadDefault(path);
  const { plugins = [], connectors } = connectFile(file, content);
  const own: ConnectPlugin[] = [];
  for (const each of plugins) {
    const loaded = await loadDefault(resolve(dirname(path), each));
    own.push(...((Array.isArray(loaded) ? loaded : [loaded]) as ConnectPlugin[]));
  }
  return { connectors, plugins: [...BUILT_IN_PLUGINS, ...own] };
}

/** One connector, a list of them, or an object that has them and names plugins. */
function connectFile(file: string, content: unknown): ConnectFile {
  if (Array.isArray(content)) return { connectors: content as ConnectorDefinition[] };
  if (typeof content === 'object' && content !== null) {
    if ('connectors' in content && Array.isArray(content.connectors)) return content as ConnectFile;
    if ('connector' in content) return { connectors: [content as ConnectorDefinition] };
  }
  throw notConnectors(file, 'it has neither a connector nor a list of connectors');
}

function parseJson(file: string, path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw notConnectors(file, `it is not JSON: ${(cause as Error).message}`);
  }
}

/** The default export of a module; tsx compiles TypeScript. */
async function loadDefault(path: string): Promise<unknown> {
  if (!existsSync(path)) throw notConnectors(path, 'there is no such file');
  if (/\.[cm]?tsx?$/.test(path)) await registerTypeScript();
  return ((await import(pathToFileURL(path).href)) as { readonly default?: unknown }).default;
}

function notConnectors(file: string, reason: string): LogError {
  const allowed = 'a file with connectors: { "connectors": [{ "name", "connector", "config" }] }';
  const message = `${file} cannot be used: ${reason}`;
  return new LogError('INVALID_OPTION', message, { option: 'file', value: file, allowed });
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
