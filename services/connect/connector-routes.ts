import type { ConnectorOffset, ConnectorStatus, TargetState } from '../../connect/index.ts';
import { badBody, objectBody } from '../http/json-body.ts';
import { reference } from '../http/open-api.ts';
import { refusal, type Answer, type Call, type Route } from '../http/route.ts';
import {
  checkConfig,
  configBody,
  findConnector,
  invalid,
  notFound,
  textField,
  type ConnectContext,
  type GivenConfig,
} from './context.ts';
import { parseOffsets } from './offset-bodies.ts';
import { propertiesOf, withSecrets } from './secrets.ts';
import { infoOf, statusView } from './views.ts';

const STATES: readonly TargetState[] = ['RUNNING', 'PAUSED', 'STOPPED'];

/** Listing, making, changing and removing connectors. */
export function connectorRoutes(context: ConnectContext): Route[] {
  const { worker } = context;
  const found = (call: Call): ConnectorStatus => {
    const { connector = '' } = call.params;
    return findConnector(context, connector, notFound(connector));
  };
  return [
    {
      method: 'GET',
      path: '/connectors',
      summary: 'Lists the connectors.',
      query: { expand: 'status or info, or both by two parameters: the answer has that of each.' },
      answers: { 200: { means: 'Names, or objects by name.', schema: reference('Connectors') } },
      handle: ({ query }) => ({ status: 200, body: listOf(context, query) }),
    },
    {
      method: 'POST',
      path: '/connectors',
      summary: 'Creates a connector and starts it.',
      takes: reference('CreateConnector'),
      answers: { 201: INFO },
      handle: ({ body }) => context.changes.run(() => create(context, body)),
    },
    {
      method: 'GET',
      path: '/connectors/{connector}',
      summary: 'A connector.',
      answers: { 200: INFO },
      handle: (call) => ({ status: 200, body: infoOf(found(call), worker) }),
    },
    {
      method: 'DELETE',
      path: '/connectors/{connector}',
      summary: 'Removes a connector.',
      answers: { 204: { means: 'It is gone; its offsets stay.' } },
      handle: async (call) => {
        await worker.delete(found(call).name);
        return { status: 204 };
      },
    },
    ...configRoutes(context, found),
  ];
}

const INFO = { means: 'The connector.', schema: reference('ConnectorInfo') };

/** Reading and changing configs. */
function configRoutes(context: ConnectContext, found: (call: Call) => ConnectorStatus): Route[] {
  return [
    {
      method: 'GET',
      path: '/connectors/{connector}/config',
      summary: 'Its config.',
      answers: {
        200: { means: 'As it was given, without secrets.', schema: reference('Config') },
      },
      handle: (call) => {
        const { config } = infoOf(found(call), context.worker);
        return { status: 200, body: config };
      },
    },
    {
      method: 'PUT',
      path: '/connectors/{connector}/config',
      summary: 'Replaces the config of a connector, or creates the connector.',
      takes: reference('Config'),
      answers: { 200: INFO, 201: { ...INFO, means: 'The connector, which is new.' } },
      handle: ({ params, body }) => {
        return context.changes.run(() => replace(context, params['connector'] ?? '', body));
      },
    },
    {
      method: 'PATCH',
      path: '/connectors/{connector}/config',
      summary: 'Changes some of the config; null removes.',
      takes: reference('ConfigPatch'),
      answers: { 200: INFO },
      handle: (call) => context.changes.run(() => patch(context, found(call), call.body)),
    },
  ];
}

/** The names, or what `expand` asks for of each. */
function listOf(context: ConnectContext, query: URLSearchParams): unknown {
  const { worker } = context;
  const statuses = worker.statuses();
  if (!query.has('expand')) return statuses.map(({ name }) => name);
  const expand = query.getAll('expand');
  const expanded = statuses.map((status) => {
    const view = {
      ...(expand.includes('status') && { status: statusView(status, context) }),
      ...(expand.includes('info') && { info: infoOf(status, worker) }),
    };
    return [status.name, view] as const;
  });
  return Object.fromEntries(expanded);
}

async function create(context: ConnectContext, given: unknown): Promise<Answer> {
  const fields = ['name', 'config', 'initial_state', 'initial_offsets'];
  const body = objectBody(given, fields);
  const name = textField(body, 'name').trim();
  const config = named(name, configBody(body['config']), true);
  const initialState = stateIn(textField(body, 'initial_state'));
  const { flat, issues } = await checkConfig(context, name, config);
  const { properties, issues: hidden } = restore(context, name, config, {});
  if (issues.length + hidden.length > 0) throw invalid([...issues, ...hidden]);
  const initialOffsets = offsetsIn(body['initial_offsets'], flat.plugin?.kind);
  const { worker, allowedRoots } = context;
  const status = await worker.create(flat.definition, {
    ...{ properties, allowedRoots },
    ...(initialState !== undefined && { initialState }),
    ...(initialOffsets !== undefined && { initialOffsets }),
  });
  return { ...created(name), body: infoOf(status, worker) };
}

function created(name: string): Pick<Answer, 'status' | 'location'> {
  return { status: 201, location: `/connectors/${encodeURIComponent(name)}` };
}

async function replace(context: ConnectContext, name: string, body: unknown): Promise<Answer> {
  const { worker } = context;
  const config = named(name, configBody(body), false);
  const old = worker.statuses().find((status) => status.name === name);
  const before = old === undefined ? {} : propertiesOf(old);
  const status = await put(context, name, config, before);
  const end = old === undefined ? created(name) : { status: 200 };
  return { ...end, body: infoOf(status, worker) };
}

async function patch(
  context: ConnectContext,
  status: ConnectorStatus,
  body: unknown,
): Promise<Answer> {
  const { worker } = context;
  const before = propertiesOf(status);
  const { properties: changes, nulls } = configBody(body);
  const entries = Object.entries({ ...before, ...changes });
  const kept = Object.fromEntries(entries.filter(([key]) => !nulls.includes(key)));
  const { name } = status;
  const config = named(name, { properties: kept, nulls: [] }, false);
  const changed = await put(context, name, config, before);
  return { status: 200, body: infoOf(changed, worker) };
}

/** Makes a connector be of this config. */
async function put(
  context: ConnectContext,
  name: string,
  config: GivenConfig,
  before: GivenConfig['properties'],
): Promise<ConnectorStatus> {
  const { properties, issues: hidden } = restore(context, name, config, before);
  const { flat, issues } = await checkConfig(context, name, { ...config, properties });
  if (issues.length + hidden.length > 0) throw invalid([...issues, ...hidden]);
  const { worker, allowedRoots } = context;
  return worker.update(flat.definition, { properties, allowedRoots });
}

function restore(
  { worker }: ConnectContext,
  name: string,
  { properties: given }: GivenConfig,
  before: GivenConfig['properties'],
): ReturnType<typeof withSecrets> {
  return withSecrets({ name, given, before }, worker.plugins);
}

/** A config with its name. @throws LogError REQUEST_REFUSED 400 if it has another one. */
function named(name: string, { properties, nulls }: GivenConfig, isNew: boolean): GivenConfig {
  const included = properties['name'];
  if (included !== undefined && included !== name) {
    const where = isNew ? 'in the request' : 'in the URL';
    const message = `Connector name configuration (${included}) doesn't match connector name`;
    throw refusal(400, `${message} ${where} (${name})`);
  }
  return { properties: { ...properties, name }, nulls };
}

function stateIn(given: string): TargetState | undefined {
  if (given === '') return undefined;
  const found = STATES.find((state) => state === given.toUpperCase());
  if (found !== undefined) return found;
  throw badBody(`initial_state must be ${STATES.join(' or ')}, not ${given}`);
}

function offsetsIn(
  given: unknown,
  kind: 'source' | 'sink' | undefined,
): ConnectorOffset[] | undefined {
  return given === undefined || given === null ? undefined : parseOffsets(given, kind ?? 'source');
}
