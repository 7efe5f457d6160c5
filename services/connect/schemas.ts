import { reference } from '../http/open-api.ts';
import type { JsonSchema } from '../http/route.ts';

const string = { type: 'string' };
const texts = { type: 'array', items: string };

function object(properties: Readonly<Record<string, JsonSchema>>, optional = ''): JsonSchema {
  const left = optional.split(' ');
  const required = Object.keys(properties).filter((name) => !left.includes(name));
  return { type: 'object', required, properties };
}

const state = {
  type: 'string',
  enum: ['UNASSIGNED', 'RUNNING', 'PAUSED', 'STOPPED', 'FAILED', 'RESTARTING'],
};
const free = { type: 'object', additionalProperties: true };
const kind = { type: 'string', enum: ['source', 'sink', 'unknown'] };
const taskId = object({ connector: string, task: { type: 'integer' } });
const connectorState = { state, worker_id: string, version: string, trace: string };

/** The bodies of the service, for its OpenAPI document. */
export const SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  ServerInfo: object({ version: string, commit: string, kafka_cluster_id: string }),
  WorkerStatus: object({ status: string, message: string }),
  Message: object({ message: string }),
  Names: texts,
  Config: {
    type: 'object',
    additionalProperties: string,
    description: 'Texts by names with dots; a plugin’s own fields besides those of all connectors.',
  },
  ConfigPatch: { type: 'object', additionalProperties: { type: ['string', 'null'] } },
  ConnectorOffset: object({ partition: free, offset: { type: ['object', 'null'] } }),
  ConnectorOffsets: object({ offsets: { type: 'array', items: reference('ConnectorOffset') } }),
  CreateConnector: object(
    {
      name: string,
      config: reference('Config'),
      initial_state: { type: 'string', enum: ['RUNNING', 'PAUSED', 'STOPPED'] },
      initial_offsets: { type: 'array', items: reference('ConnectorOffset') },
    },
    'initial_state initial_offsets',
  ),
  ConnectorInfo: object({
    ...{ name: string, config: reference('Config') },
    ...{ tasks: { type: 'array', items: taskId }, type: kind },
  }),
  TaskState: object({ id: { type: 'integer' }, ...connectorState }, 'trace version'),
  ConnectorStateInfo: object({
    name: string,
    connector: object(connectorState, 'trace version'),
    tasks: { type: 'array', items: reference('TaskState') },
    type: kind,
  }),
  Connectors: {
    oneOf: [
      texts,
      {
        type: 'object',
        additionalProperties: object(
          { status: reference('ConnectorStateInfo'), info: reference('ConnectorInfo') },
          'status info',
        ),
      },
    ],
  },
  TaskInfos: {
    type: 'array',
    items: object({ id: taskId, config: reference('Config') }),
  },
  ActiveTopics: { type: 'object', additionalProperties: object({ topics: texts }) },
  Plugins: {
    type: 'array',
    items: object({ class: string, type: string, version: string }, 'version'),
  },
  ConfigKey: object({
    ...{ name: string, type: string, required: { type: 'boolean' } },
    default_value: { type: ['string', 'null'] },
    ...{ importance: string, documentation: string, group: string, width: string },
    ...{ display_name: string, dependents: texts, order_in_group: { type: 'integer' } },
  }),
  ConfigKeys: { type: 'array', items: reference('ConfigKey') },
  ConfigInfos: object({
    ...{ name: string, error_count: { type: 'integer' }, groups: texts },
    configs: {
      type: 'array',
      items: object({
        definition: { oneOf: [reference('ConfigKey'), { type: 'null' }] },
        value: object({
          ...{ name: string, value: { type: ['string', 'null'] }, recommended_values: texts },
          ...{ errors: texts, visible: { type: 'boolean' } },
        }),
      }),
    },
  }),
  LoggerLevel: object({ level: string, last_modified: { type: ['integer', 'null'] } }),
  LoggerLevels: { type: 'object', additionalProperties: reference('LoggerLevel') },
  SetLevel: object({ level: string }),
};
