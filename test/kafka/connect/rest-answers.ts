/** Makes the requests of the conformance test, and takes out of the answers what may differ. */
import { setTimeout as wait } from 'node:timers/promises';
import { STEPS, type Side, type Step } from './rest-steps.ts';

/** An answer without names of classes, texts of messages, times and versions. */
export interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: unknown;
}

const SETTLE_MS_MAX = 60_000;
const TRY_MS = 50;

/** The answers to all requests, by the ids of the steps. */
export async function answersOf(url: string, side: Side): Promise<Record<string, Answer>> {
  const answers: Record<string, Answer> = {};
  for (const each of STEPS) {
    for (const [name, state] of Object.entries(each.settled ?? {})) {
      await settle(url, name, state);
    }
    answers[each.id] = await answerTo(url, each, side);
  }
  return answers;
}

/** Resolves when a connector and its tasks are in a state. */
async function settle(url: string, name: string, state: string): Promise<void> {
  let last = '';
  for (let waitedMs = 0; waitedMs < SETTLE_MS_MAX; waitedMs += TRY_MS) {
    const response = await fetch(`${url}/connectors/${name}/status`);
    last = await response.text();
    if (response.status === 200) {
      const { connector, tasks } = JSON.parse(last) as {
        readonly connector: { readonly state: string };
        readonly tasks: readonly { readonly state: string }[];
      };
      const isRight = [connector, ...tasks].every((each) => each.state === state);
      if (isRight && (state !== 'RUNNING' || tasks.length > 0)) return;
    }
    await wait(TRY_MS);
  }
  throw new TypeError(`${name} is not ${state}: ${last}`);
}

async function answerTo(url: string, { method, path, body, headers }: Step, side: Side) {
  const sent = body?.(side);
  const type = { 'content-type': 'application/json' };
  const plugin = encodeURIComponent(side.source['connector.class'] ?? '');
  const response = await fetch(url + path.replace('{source}', plugin), {
    method,
    headers: { ...(sent === undefined ? {} : type), ...headers },
    ...(sent !== undefined && { body: typeof sent === 'string' ? sent : JSON.stringify(sent) }),
  });
  const text = await response.text();
  const contentType = response.headers.get('content-type');
  return {
    status: response.status,
    type: contentType?.split(';')[0]?.trim() ?? null,
    body: text === '' ? null : normalised(parsed(text), side),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return '<no JSON>';
  }
}

/** What only says who answers, and when. */
const OPAQUE: ReadonlySet<string> = new Set([
  ...['worker_id', 'version', 'commit', 'kafka_cluster_id', 'trace', 'last_modified', 'message'],
]);

function normalised(value: unknown, side: Side): unknown {
  if (Array.isArray(value)) {
    const list = value.map((each) => normalised(each, side));
    // Names come in no order.
    return list.every((each) => typeof each === 'string') ? list.sort() : list;
  }
  if (typeof value !== 'object' || value === null) return value;
  const object = value as Readonly<Record<string, unknown>>;
  if ('error_count' in object) return validation(object);
  if ('connector.class' in object) return configShape(object, side);
  if ('partition' in object)
    return { partition: '<partition>', offset: object['offset'] && '<offset>' };
  return Object.fromEntries(
    Object.entries(object).map(([name, each]) => {
      if (OPAQUE.has(name)) return [name, typeof each === 'number' ? '<number>' : `<${name}>`];
      return [name, normalised(each, side)];
    }),
  );
}

/** Which connector's config it is, and what it has besides. */
function configShape(config: Readonly<Record<string, unknown>>, { source, sink }: Side): object {
  const own = config['connector.class'] === sink['connector.class'] ? sink : source;
  const entries = Object.entries(config).filter(([name, value]) => own[name] !== value);
  const missing = Object.keys(own).filter((name) => !(name in config));
  return {
    config: own === sink ? '<sink>' : '<source>',
    ...Object.fromEntries(entries.filter(([name]) => name !== 'task.class')),
    ...(missing.length > 0 && { missing: missing.length }),
  };
}

interface Checked {
  readonly definition: Readonly<Record<string, unknown>>;
  readonly value: Readonly<Record<string, unknown>> & { readonly errors: readonly string[] };
}

/** Whose fields there are differs: what each is told with, and which common ones are wrong. */
function validation(result: Readonly<Record<string, unknown>>): object {
  const configs = result['configs'] as readonly Checked[];
  const shapes = configs.map(({ definition, value }) => ({
    definition: Object.keys(definition).sort(),
    value: Object.keys(value).sort(),
  }));
  const common = configs.filter(({ definition }) => COMMON.has(String(definition['name'])));
  return {
    ...Object.fromEntries(Object.keys(result).map((name) => [name, `<${name}>`])),
    error_count: Math.min(1, Number(result['error_count'])),
    isCounted: configs.flatMap(({ value }) => value.errors).length === result['error_count'],
    shapes: [...new Set(shapes.map((each) => JSON.stringify(each)))].map(
      (each) => JSON.parse(each) as unknown,
    ),
    common: common
      .map(({ definition, value }) => ({
        ...{ name: definition['name'], type: definition['type'], group: definition['group'] },
        ...{ required: definition['required'], isWrong: value.errors.length > 0 },
      }))
      .sort((a, b) => (String(a.name) < String(b.name) ? -1 : 1)),
  };
}

/** Fields that every source has. */
const COMMON: ReadonlySet<string> = new Set(['name', 'connector.class', 'tasks.max', 'transforms']);

/** Answers that list plugins or loggers, whose names differ, by their shape alone. */
export function shapesOf(answers: Readonly<Record<string, Answer>>): Record<string, Answer> {
  return Object.fromEntries(
    Object.entries(answers).map(([id, answer]) => {
      if (answer.status !== 200) return [id, answer];
      if (id.startsWith('plugins') || id === 'plugin config') {
        return [id, { ...answer, body: listShape(answer.body) }];
      }
      if (id === 'loggers') {
        const each = Object.values(answer.body as object);
        return [id, { ...answer, body: listShape(each.map((logger) => shapeOf(logger))) }];
      }
      if (id.startsWith('logger: PUT')) return [id, { ...answer, body: shapeOf(answer.body) }];
      return [id, answer];
    }),
  );
}

function listShape(list: unknown): unknown {
  const shapes = (list as readonly unknown[]).map((each) => JSON.stringify(shapeOf(each)));
  return [...new Set(shapes)].sort().map((each) => JSON.parse(each) as unknown);
}

/** The names and types of what is in it; `type` keeps its value. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return ['...'];
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, each]) => [name, KINDS.has(String(each)) ? each : kindOf(each)]),
  );
}

/** Kinds of plugins, which both have. */
const KINDS: ReadonlySet<string> = new Set([
  ...['source', 'sink', 'converter', 'header_converter', 'transformation', 'predicate'],
]);

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'list' : typeof value;
}
