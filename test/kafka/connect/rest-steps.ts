/** The requests of the conformance test: the same to Kafka Connect and to ours. */

/** What differs between the two sides: what connectors are made of. */
export interface Side {
  /** The config of a source of lines that goes on, into the topic `lines`. */
  readonly source: Readonly<Record<string, string>>;
  /** The config of a sink of that topic. */
  readonly sink: Readonly<Record<string, string>>;
  /** The name of a field of the source that is required, and of one that is a number. */
  readonly required: string;
  /** The offset of the source: a partition, and where it stands. */
  readonly partition: Readonly<Record<string, unknown>>;
  readonly offset: Readonly<Record<string, unknown>>;
}

/** A request. */
export interface Step {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  /** JSON, or text as it is. */
  readonly body?: (side: Side) => unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Connectors that are in a state before the request is made: their names and it. */
  readonly settled?: Readonly<Record<string, string>>;
}

type Make = (side: Side) => unknown;

function step(id: string, request: string, body?: Make | string, more: Partial<Step> = {}): Step {
  const [method = '', path = ''] = request.split(' ');
  const make = typeof body === 'string' ? () => body : body;
  return { id, method, path, ...(make !== undefined && { body: make }), ...more };
}

const named =
  (name: string, more: object = {}): Make =>
  ({ source }) => ({ name, config: source, ...more });
const configured =
  (more: Readonly<Record<string, unknown>>): Make =>
  ({ source }) => ({ ...source, ...more });
function without(config: Side['source'], name: string): object {
  return Object.fromEntries(Object.entries(config).filter(([each]) => each !== name));
}

const running = { settled: { 'lines-in': 'RUNNING' } };
const stopped = { settled: { 'lines-in': 'STOPPED' } };
const offsets =
  (...list: readonly object[]): Make =>
  () => ({ offsets: list });

const GENERAL: readonly Step[] = [
  step('root', 'GET /'),
  step('health', 'GET /health'),
  step('root: POST', 'POST /', '{}'),
  step('unknown path', 'GET /nope'),
  step('unknown path below', 'GET /connectors/a/nope'),
  step('connectors: none', 'GET /connectors'),
  step('connectors: none expanded', 'GET /connectors?expand=status&expand=info'),
  step('connectors: trailing slash', 'GET /connectors/'),
  step('connectors: HEAD', 'HEAD /connectors'),
  step('connectors: OPTIONS', 'OPTIONS /connectors'),
  step('connectors: DELETE', 'DELETE /connectors'),
  step('connectors: PUT', 'PUT /connectors', '{}'),
  step('connectors: Accept html', 'GET /connectors', undefined, {
    headers: { accept: 'text/html' },
  }),
];

const CREATE: readonly Step[] = [
  step('create: broken JSON', 'POST /connectors', '{"name":'),
  step('create: empty body', 'POST /connectors', ''),
  step('create: list', 'POST /connectors', '[]'),
  step('create: null', 'POST /connectors', 'null'),
  step('create: text', 'POST /connectors', '"x"'),
  step('create: text/plain', 'POST /connectors', named('lines-in'), {
    headers: { 'content-type': 'text/plain' },
  }),
  step('create: no name', 'POST /connectors', ({ source }) => ({ config: source })),
  step('create: empty name', 'POST /connectors', named('')),
  step('create: no config', 'POST /connectors', '{"name":"x"}'),
  step('create: config is text', 'POST /connectors', '{"name":"x","config":"y"}'),
  step('create: unknown field', 'POST /connectors', named('x', { more: 1 })),
  step('create: two names', 'POST /connectors', ({ source }) => {
    return { name: 'x', config: { ...source, name: 'y' } };
  }),
  step('create: no class', 'POST /connectors', '{"name":"x","config":{}}'),
  step('create: unknown class', 'POST /connectors', ({ source }) => {
    return { name: 'x', config: { ...source, 'connector.class': 'no.such.Connector' } };
  }),
  step('create: required field is missing', 'POST /connectors', ({ source, required }) => {
    return { name: 'x', config: without(source, required) };
  }),
  step('create: tasks.max is no number', 'POST /connectors', ({ source }) => {
    return { name: 'x', config: { ...source, 'tasks.max': 'many' } };
  }),
  step('create: tasks.max is 0', 'POST /connectors', ({ source }) => {
    return { name: 'x', config: { ...source, 'tasks.max': '0' } };
  }),
  step('create: unknown transform', 'POST /connectors', ({ source }) => {
    const transform = { transforms: 'a', 'transforms.a.type': 'NoSuchTransform' };
    return { name: 'x', config: { ...source, ...transform } };
  }),
  step('create: transform without type', 'POST /connectors', ({ source }) => {
    return { name: 'x', config: { ...source, transforms: 'a' } };
  }),
  step(
    'create: initial_state is none',
    'POST /connectors',
    named('x', { initial_state: 'ASLEEP' }),
  ),
  step('create', 'POST /connectors', named('lines-in')),
  step('create: again', 'POST /connectors', named('lines-in'), running),
  step('create: STOPPED', 'POST /connectors', named('asleep', { initial_state: 'STOPPED' })),
  step('create: PAUSED', 'POST /connectors', named('paused', { initial_state: 'paused' })),
  step('create: sink', 'POST /connectors', ({ sink }) => ({ name: 'lines-out', config: sink })),
];

const LOOK: readonly Step[] = [
  step('connectors', 'GET /connectors', undefined, {
    settled: { 'lines-in': 'RUNNING', asleep: 'STOPPED', paused: 'PAUSED', 'lines-out': 'RUNNING' },
  }),
  step('connectors: info', 'GET /connectors?expand=info'),
  step('connectors: status', 'GET /connectors?expand=status'),
  step('connectors: both', 'GET /connectors?expand=info&expand=status'),
  step('connectors: unknown expansion', 'GET /connectors?expand=nope'),
  step('connector', 'GET /connectors/lines-in'),
  step('connector: sink', 'GET /connectors/lines-out'),
  step('connector: unknown', 'GET /connectors/nope'),
  step('connector: POST', 'POST /connectors/lines-in', '{}'),
  step('config', 'GET /connectors/lines-in/config'),
  step('config: unknown', 'GET /connectors/nope/config'),
  step('config: DELETE', 'DELETE /connectors/lines-in/config'),
  step('status', 'GET /connectors/lines-in/status'),
  step('status: STOPPED', 'GET /connectors/asleep/status'),
  step('status: unknown', 'GET /connectors/nope/status'),
  step('status: PUT', 'PUT /connectors/lines-in/status', '{}'),
  step('tasks', 'GET /connectors/lines-in/tasks'),
  step('tasks: unknown', 'GET /connectors/nope/tasks'),
  step('task status', 'GET /connectors/lines-in/tasks/0/status'),
  step('task status: unknown task', 'GET /connectors/lines-in/tasks/99/status'),
  step('task status: no number', 'GET /connectors/lines-in/tasks/x/status'),
  step('task status: unknown', 'GET /connectors/nope/tasks/0/status'),
  step('topics: unknown', 'GET /connectors/nope/topics'),
  step('topics: reset', 'PUT /connectors/lines-in/topics/reset'),
  step('topics: GET reset', 'GET /connectors/lines-in/topics/reset'),
];

const CHANGE: readonly Step[] = [
  step('config: PUT', 'PUT /connectors/lines-in/config', configured({})),
  step('config: PUT another name', 'PUT /connectors/lines-in/config', configured({ name: 'y' })),
  step('config: PUT a number', 'PUT /connectors/lines-in/config', configured({ 'tasks.max': 1 })),
  step('config: PUT null', 'PUT /connectors/lines-in/config', configured({ 'tasks.max': null })),
  step(
    'config: PUT no number',
    'PUT /connectors/lines-in/config',
    configured({ 'tasks.max': 'x' }),
  ),
  step('config: PUT broken JSON', 'PUT /connectors/lines-in/config', '{'),
  step('config: PUT list', 'PUT /connectors/lines-in/config', '[]'),
  step('config: PUT empty', 'PUT /connectors/lines-in/config', '{}'),
  step('config: PUT new', 'PUT /connectors/new/config', configured({})),
  step('config: PATCH', 'PATCH /connectors/lines-in/config', '{"tasks.max":"1"}', running),
  step('config: PATCH null', 'PATCH /connectors/lines-in/config', '{"tasks.max":null}', running),
  step('config: PATCH name', 'PATCH /connectors/lines-in/config', '{"name":"y"}'),
  step('config: PATCH bad value', 'PATCH /connectors/lines-in/config', '{"tasks.max":"x"}'),
  step('config: PATCH unknown', 'PATCH /connectors/nope/config', '{}'),
  step('config: PATCH broken JSON', 'PATCH /connectors/lines-in/config', '{'),
];

const STATES: readonly Step[] = [
  step('pause', 'PUT /connectors/lines-in/pause', undefined, running),
  step('pause: again', 'PUT /connectors/lines-in/pause', undefined, {
    settled: { 'lines-in': 'PAUSED' },
  }),
  step('pause: status', 'GET /connectors/lines-in/status'),
  step('pause: unknown', 'PUT /connectors/nope/pause'),
  step('pause: POST', 'POST /connectors/lines-in/pause'),
  step('resume', 'PUT /connectors/lines-in/resume'),
  step('resume: again', 'PUT /connectors/lines-in/resume', undefined, running),
  step('resume: unknown', 'PUT /connectors/nope/resume'),
  step('restart', 'POST /connectors/lines-in/restart', undefined, running),
  step('restart: tasks', 'POST /connectors/lines-in/restart?includeTasks=true', undefined, running),
  step('restart: failed', 'POST /connectors/lines-in/restart?onlyFailed=true', undefined, running),
  step(
    'restart: failed tasks',
    'POST /connectors/lines-in/restart?onlyFailed=true&includeTasks=true',
    undefined,
    running,
  ),
  step('restart: no boolean', 'POST /connectors/lines-in/restart?includeTasks=maybe'),
  step('restart: unknown', 'POST /connectors/nope/restart'),
  step('restart: unknown with tasks', 'POST /connectors/nope/restart?includeTasks=true'),
  step('restart: PUT', 'PUT /connectors/lines-in/restart'),
  step('restart task', 'POST /connectors/lines-in/tasks/0/restart', undefined, running),
  step('restart task: unknown task', 'POST /connectors/lines-in/tasks/99/restart'),
  step('restart task: unknown', 'POST /connectors/nope/tasks/0/restart'),
  step('stop', 'PUT /connectors/lines-in/stop', undefined, running),
  step('stop: status', 'GET /connectors/lines-in/status', undefined, stopped),
  step('stop: again', 'PUT /connectors/lines-in/stop'),
  step('stop: tasks', 'GET /connectors/lines-in/tasks'),
  step('stop: unknown', 'PUT /connectors/nope/stop'),
];

const sinkPlace = { kafka_topic: 'lines', kafka_partition: 0 };
const OFFSETS: readonly Step[] = [
  step('offsets', 'GET /connectors/lines-in/offsets'),
  step('offsets: unknown', 'GET /connectors/nope/offsets'),
  step('offsets: POST', 'POST /connectors/lines-in/offsets', '{}'),
  step(
    'offsets: PATCH',
    'PATCH /connectors/lines-in/offsets',
    ({ partition, offset }) => {
      return { offsets: [{ partition, offset }] };
    },
    stopped,
  ),
  step('offsets: after PATCH', 'GET /connectors/lines-in/offsets'),
  step('offsets: PATCH none', 'PATCH /connectors/lines-in/offsets', offsets()),
  step('offsets: PATCH empty', 'PATCH /connectors/lines-in/offsets', '{}'),
  step('offsets: PATCH broken JSON', 'PATCH /connectors/lines-in/offsets', '{'),
  step('offsets: PATCH no list', 'PATCH /connectors/lines-in/offsets', '{"offsets":{}}'),
  step(
    'offsets: PATCH no partition',
    'PATCH /connectors/lines-in/offsets',
    offsets({ offset: {} }),
  ),
  step('offsets: PATCH unknown field', 'PATCH /connectors/lines-in/offsets', '{"offset":[]}'),
  step('offsets: PATCH unknown', 'PATCH /connectors/nope/offsets', ({ partition, offset }) => {
    return { offsets: [{ partition, offset }] };
  }),
  step('offsets: PATCH null', 'PATCH /connectors/lines-in/offsets', ({ partition }) => {
    return { offsets: [{ partition, offset: null }] };
  }),
  step('offsets: DELETE', 'DELETE /connectors/lines-in/offsets'),
  step('offsets: after DELETE', 'GET /connectors/lines-in/offsets'),
  step('offsets: DELETE unknown', 'DELETE /connectors/nope/offsets'),
  step(
    'offsets: PATCH of a sink that runs',
    'PATCH /connectors/lines-out/offsets',
    offsets({
      partition: sinkPlace,
      offset: { kafka_offset: 0 },
    }),
  ),
  step('offsets: DELETE of a sink that runs', 'DELETE /connectors/lines-out/offsets'),
  step('offsets: stop the sink', 'PUT /connectors/lines-out/stop'),
  step(
    'offsets: sink without partition',
    'PATCH /connectors/lines-out/offsets',
    offsets({
      partition: { kafka_topic: 'lines' },
      offset: { kafka_offset: 0 },
    }),
    { settled: { 'lines-out': 'STOPPED' } },
  ),
  step(
    'offsets: sink with text',
    'PATCH /connectors/lines-out/offsets',
    offsets({
      partition: sinkPlace,
      offset: { kafka_offset: 'x' },
    }),
  ),
  step(
    'offsets: sink with a negative one',
    'PATCH /connectors/lines-out/offsets',
    offsets({
      partition: sinkPlace,
      offset: { kafka_offset: -1 },
    }),
  ),
];

const PLUGINS: readonly Step[] = [
  step('plugins', 'GET /connector-plugins'),
  step('plugins: connectorsOnly=true', 'GET /connector-plugins?connectorsOnly=true'),
  step('plugins: all', 'GET /connector-plugins?connectorsOnly=false'),
  step('plugins: POST', 'POST /connector-plugins', '{}'),
  step('plugin config', 'GET /connector-plugins/{source}/config'),
  step('plugin config: unknown', 'GET /connector-plugins/NoSuchPlugin/config'),
  step('validate', 'PUT /connector-plugins/{source}/config/validate', configured({ name: 'v' })),
  step(
    'validate: mistakes',
    'PUT /connector-plugins/{source}/config/validate',
    ({ source, required }) => {
      return { ...without(source, required), name: 'v', 'tasks.max': 'many' };
    },
  ),
  step('validate: no class', 'PUT /connector-plugins/{source}/config/validate', '{}'),
  step(
    'validate: another class',
    'PUT /connector-plugins/{source}/config/validate',
    ({ sink }) => sink,
  ),
  step(
    'validate: unknown plugin',
    'PUT /connector-plugins/NoSuchPlugin/config/validate',
    configured({}),
  ),
  step('validate: broken JSON', 'PUT /connector-plugins/{source}/config/validate', '{'),
  step('validate: POST', 'POST /connector-plugins/{source}/config/validate', '{}'),
];

const ADMIN: readonly Step[] = [
  step('loggers', 'GET /admin/loggers'),
  step('logger', 'GET /admin/loggers/root'),
  step('logger: unknown', 'GET /admin/loggers/no.such.logger'),
  step('logger: PUT', 'PUT /admin/loggers/root', '{"level":"WARN"}'),
  step('logger: PUT lower case', 'PUT /admin/loggers/root', '{"level":"warn"}'),
  step('logger: PUT unknown level', 'PUT /admin/loggers/root', '{"level":"LOUD"}'),
  step('logger: PUT no level', 'PUT /admin/loggers/root', '{}'),
  step('logger: PUT cluster', 'PUT /admin/loggers/root?scope=cluster', '{"level":"WARN"}'),
  step('logger: PUT unknown scope', 'PUT /admin/loggers/root?scope=nope', '{"level":"WARN"}'),
  step('logger: PUT broken JSON', 'PUT /admin/loggers/root', '{'),
  step('logger: DELETE', 'DELETE /admin/loggers/root'),
];

const DELETE: readonly Step[] = [
  step('delete', 'DELETE /connectors/lines-in'),
  step('delete: status afterwards', 'GET /connectors/asleep/status'),
  step('delete: unknown', 'DELETE /connectors/nope'),
  step('create: name with a blank', 'POST /connectors', named('a b')),
  step('delete: name with a blank', 'DELETE /connectors/a%20b'),
  step('delete: sink', 'DELETE /connectors/lines-out'),
  step('create: initial_offsets', 'POST /connectors', ({ source, partition, offset }) => {
    return { name: 'begun', config: source, initial_offsets: [{ partition, offset }] };
  }),
];

/** In this order. */
export const STEPS: readonly Step[] = [
  ...[...GENERAL, ...CREATE, ...LOOK, ...CHANGE, ...STATES],
  ...[...OFFSETS, ...PLUGINS, ...ADMIN, ...DELETE],
];
