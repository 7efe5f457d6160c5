import type { ConnectorStatus } from '../../connect/index.ts';
import { objectBody } from '../http/json-body.ts';
import { reference } from '../http/open-api.ts';
import { refusal, type Call, type Route } from '../http/route.ts';
import { findConnector, notFound, type ConnectContext } from './context.ts';
import { parseOffsets } from './offset-bodies.ts';

const PATH = '/connectors/{connector}/offsets';

/** How far connectors have come, and what topics they use. */
export function offsetRoutes(context: ConnectContext): Route[] {
  const { worker } = context;
  const nameIn = ({ params }: Call): string => params['connector'] ?? '';
  const found = (call: Call): ConnectorStatus => {
    return findConnector(context, nameIn(call), notFound(nameIn(call)));
  };
  const done = { 200: { means: 'They are changed.', schema: reference('Message') } };
  return [
    {
      method: 'GET',
      path: PATH,
      summary: 'How far a connector has come.',
      answers: { 200: { means: 'What is committed.', schema: reference('ConnectorOffsets') } },
      handle: async (call) => {
        const offsets = await worker.offsets(found(call).name);
        return { status: 200, body: { offsets } };
      },
    },
    {
      method: 'PATCH',
      path: PATH,
      summary: 'Sets offsets of a connector that is stopped.',
      takes: reference('ConnectorOffsets'),
      answers: done,
      handle: async (call) => {
        const given = objectBody(call.body, ['offsets'])['offsets'] ?? [];
        if (Array.isArray(given) && given.length === 0) {
          const message = 'Partitions / offsets need to be provided for an alter offsets request';
          throw refusal(400, message);
        }
        const status = mustBeStopped(found(call));
        await worker.alterOffsets(status.name, parseOffsets(given, status.kind));
        return { status: 200, body: { message: changed('altered') } };
      },
    },
    {
      method: 'DELETE',
      path: PATH,
      summary: 'Has a stopped connector begin at the start.',
      answers: done,
      handle: async (call) => {
        await worker.deleteOffsets(mustBeStopped(found(call)).name);
        return { status: 200, body: { message: changed('reset') } };
      },
    },
    {
      method: 'GET',
      path: '/connectors/{connector}/topics',
      summary: 'The topics that a connector has used since it was created or they were reset.',
      answers: { 200: { means: 'Their names.', schema: reference('ActiveTopics') } },
      handle: (call) => {
        // Kafka Connect answers so of connectors that there are not, too.
        const isThere = worker.statuses().some(({ name }) => name === nameIn(call));
        const topics = isThere ? worker.topics(nameIn(call)) : [];
        return { status: 200, body: { [nameIn(call)]: { topics } } };
      },
    },
    {
      method: 'PUT',
      path: '/connectors/{connector}/topics/reset',
      summary: 'Forgets what topics a connector has used.',
      answers: { 202: { means: 'They are forgotten.' } },
      handle: async (call) => {
        const isThere = worker.statuses().some(({ name }) => name === nameIn(call));
        if (isThere) await worker.resetTopics(nameIn(call));
        return { status: 202 };
      },
    },
  ];
}

/** @throws LogError REQUEST_REFUSED 400, with Kafka Connect's words */
function mustBeStopped(status: ConnectorStatus): ConnectorStatus {
  if (status.target === 'STOPPED') return status;
  const message =
    'Connectors must be in the STOPPED state before their offsets can be modified. This can be ' +
    "done for the specified connector by issuing a 'PUT' request to the " +
    `'/connectors/${status.name}/stop' endpoint`;
  throw refusal(400, message);
}

/** All offsets are the framework's: no connector keeps others elsewhere. */
function changed(how: 'altered' | 'reset'): string {
  return `The offsets for this connector have been ${how} successfully`;
}
