import { existsSync, readFileSync } from 'node:fs';
import type { ConnectorOffset } from '../connect/index.ts';
import { LogError } from '../core/index.ts';
import { toProperties } from '../services/connect/index.ts';
import { isConfigFile, readConfigFile } from './config-files.ts';
import { loadConnectors } from './load-connectors.ts';
import { RestClient } from './rest-client.ts';
import { print, printJson } from './verify.ts';

/** The flags of the commands that call a REST service. */
export interface ClientFlags {
  readonly url: string;
  readonly json?: boolean;
}

/** The flags of `millrace connect create`. */
export interface CreateFlags extends ClientFlags {
  readonly state?: string;
}

/** The flags of `millrace connect restart`. */
export interface RestartFlags extends ClientFlags {
  readonly onlyFailed?: boolean;
}

/** The flags of `millrace connect offsets`. */
export interface OffsetFlags extends ClientFlags {
  readonly reset?: boolean;
  readonly set?: string;
}

interface StateView {
  readonly state: string;
  readonly worker_id: string;
  readonly trace?: string;
}

/** What the service tells of a connector. */
interface StatusView {
  readonly name: string;
  readonly type: string;
  readonly connector: StateView;
  readonly tasks: readonly (StateView & { readonly id: number })[];
}

/** Creates the connectors of a file, or changes those that there are, one after the other. */
export async function connectCreateCommand(file: string, flags: CreateFlags): Promise<void> {
  const client = new RestClient(flags.url);
  const { state } = flags;
  const first = state === undefined ? {} : { initial_state: state.toUpperCase() };
  for (const { name, config } of await connectorsIn(file)) {
    const known = (await client.send('GET', ['connectors'])).body as readonly string[];
    const isNew = !known.includes(name);
    const { body } = isNew
      ? await client.send('POST', ['connectors'], { body: { name, config, ...first } })
      : await client.send('PUT', ['connectors', name, 'config'], { body: config });
    if (flags.json === true) printJson(body);
    else print(`${name}: ${isNew ? 'created' : 'changed'}`);
  }
}

/** Prints a line for each connector. */
export async function connectListCommand(flags: ClientFlags): Promise<void> {
  const client = new RestClient(flags.url);
  const { body } = await client.send('GET', ['connectors'], { query: 'expand=status&expand=info' });
  const all = Object.values(body as Record<string, { readonly status: StatusView }>);
  for (const each of all) {
    if (flags.json === true) printJson(each);
    else print(lineOf(each.status));
  }
  if (all.length === 0 && flags.json !== true) print('there are no connectors');
}

/** Prints what a connector and its tasks do, and why one has failed. */
export async function connectStatusCommand(name: string, flags: ClientFlags): Promise<void> {
  const client = new RestClient(flags.url);
  const { body } = await client.send('GET', ['connectors', name, 'status']);
  if (flags.json === true) {
    printJson(body);
    return;
  }
  const status = body as StatusView;
  print(lineOf(status));
  for (const { id, state, trace } of status.tasks) {
    print(`  task ${id}: ${state}${trace === undefined ? '' : `: ${firstLine(trace)}`}`);
  }
  const { trace } = status.connector;
  if (trace !== undefined) print(`  ${firstLine(trace)}`);
}

/** Pauses, resumes or stops a connector. */
export function connectChangeCommand(
  action: 'pause' | 'resume' | 'stop',
): (name: string, flags: ClientFlags) => Promise<void> {
  return async (name, flags) => {
    const client = new RestClient(flags.url);
    await client.send('PUT', ['connectors', name, action]);
    const { body } = await client.send('GET', ['connectors', name, 'status']);
    if (flags.json === true) printJson(body);
    else print(lineOf(body as StatusView));
  };
}

/** Restarts a connector and its tasks. */
export async function connectRestartCommand(name: string, flags: RestartFlags): Promise<void> {
  const client = new RestClient(flags.url);
  const query = `includeTasks=true&onlyFailed=${String(flags.onlyFailed === true)}`;
  const { body } = await client.send('POST', ['connectors', name, 'restart'], { query });
  if (flags.json === true) printJson(body);
  else print(lineOf(body as StatusView));
}

/** Removes a connector. */
export async function connectDeleteCommand(name: string, flags: ClientFlags): Promise<void> {
  await new RestClient(flags.url).send('DELETE', ['connectors', name]);
  if (flags.json === true) printJson({ name, deleted: true });
  else print(`${name}: deleted; its offsets stay`);
}

/** Prints how far a connector has come, or changes that. */
export async function connectOffsetsCommand(name: string, flags: OffsetFlags): Promise<void> {
  const client = new RestClient(flags.url);
  const path = ['connectors', name, 'offsets'];
  if (flags.reset === true && flags.set !== undefined) {
    throw invalid('set', flags.set, 'left out with --reset');
  }
  if (flags.reset === true) await client.send('DELETE', path);
  if (flags.set !== undefined) await client.send('PATCH', path, { body: offsetsIn(flags.set) });
  const { body } = await client.send('GET', path);
  const { offsets } = body as { readonly offsets: readonly ConnectorOffset[] };
  for (const each of offsets) {
    if (flags.json === true) printJson(each);
    else print(`${JSON.stringify(each.partition)}  ${JSON.stringify(each.offset)}`);
  }
  if (offsets.length === 0 && flags.json !== true) print(`${name} has no offsets`);
}

/** Lists the plugins of a service, or what the config of one may say. */
export async function remotePlugins(name: string | undefined, flags: ClientFlags): Promise<void> {
  const client = new RestClient(flags.url);
  const { body } =
    name === undefined
      ? await client.send('GET', ['connector-plugins'], { query: 'connectorsOnly=false' })
      : await client.send('GET', ['connector-plugins', name, 'config']);
  for (const each of body as readonly Readonly<Record<string, unknown>>[]) {
    if (flags.json === true) printJson(each);
    else if (name === undefined) print(`${text(each['class'])} (${text(each['type'])})`);
    else print(`${text(each['name'])}: ${text(each['documentation'])}`);
  }
}

/** Connectors as the service takes them, of a file in its form or in ours. */
async function connectorsIn(
  file: string,
): Promise<{ readonly name: string; readonly config: object }[]> {
  const content = isConfigFile(file) ? (await readConfigFile(file)).content : undefined;
  const list: unknown[] = Array.isArray(content) ? content : [content];
  if (list.every(isRequest)) return list;
  const { connectors } = await loadConnectors(file);
  return connectors.map((definition) => {
    return { name: definition.name, config: toProperties(definition) };
  });
}

/** A body of `POST /connectors`. */
function isRequest(value: unknown): value is { readonly name: string; readonly config: object } {
  if (typeof value !== 'object' || value === null || !('name' in value)) return false;
  const { config } = value as { readonly config?: unknown };
  return typeof config === 'object' && config !== null && 'connector.class' in config;
}

/** A list of offsets, or a body that has one, as text or in a file. */
function offsetsIn(given: string): object {
  const text = existsSync(given) ? readFileSync(given, 'utf8') : given;
  try {
    const parsed = JSON.parse(text) as unknown;
    if (Array.isArray(parsed)) return { offsets: parsed };
    if (typeof parsed === 'object' && parsed !== null) {
      return 'partition' in parsed ? { offsets: [parsed] } : parsed;
    }
  } catch {
    // told below
  }
  const allowed = 'JSON such as {"partition": {...}, "offset": {...}}, or a file of it';
  throw invalid('set', given, allowed);
}

function lineOf({ name, type, connector, tasks }: StatusView): string {
  const failed = tasks.filter(({ state }) => state === 'FAILED').length;
  const count = tasks.length === 1 ? '1 task' : `${tasks.length} tasks`;
  const fault = failed === 0 ? '' : `, ${failed} FAILED`;
  return `${name} (${type}): ${connector.state}, ${count}${fault}`;
}

function firstLine(trace: string): string {
  return trace.split('\n')[0] ?? '';
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function invalid(option: string, value: string, allowed: string): LogError {
  const message = `millrace connect: --${option} must be ${allowed}, not ${value}`;
  return new LogError('INVALID_OPTION', message, { option, value, allowed });
}
