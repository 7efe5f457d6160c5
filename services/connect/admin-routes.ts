import { objectBody } from '../http/json-body.ts';
import { reference } from '../http/open-api.ts';
import { refusal, type Answer, type Call, type Route } from '../http/route.ts';
import { textField, type ConnectContext } from './context.ts';
import { LEVELS } from './loggers.ts';

/** The service itself: what it is, whether it is well, and what it logs. */
export function adminRoutes(context: ConnectContext): Route[] {
  const { worker, loggers, version } = context;
  return [
    {
      method: 'GET',
      path: '/',
      summary: 'What answers here, and on which log it works.',
      answers: { 200: { means: 'The service.', schema: reference('ServerInfo') } },
      handle: async () => {
        const kafka_cluster_id = await worker.clusterId();
        return { status: 200, body: { version, commit: 'unknown', kafka_cluster_id } };
      },
    },
    {
      method: 'GET',
      path: '/health',
      summary: 'Whether the worker is ready and answers.',
      answers: {
        200: { means: 'It is.', schema: reference('WorkerStatus') },
        503: { means: 'It starts.', schema: reference('WorkerStatus') },
      },
      handle: () => health(context),
    },
    {
      method: 'GET',
      path: '/admin/loggers',
      summary: 'Lists loggers with their levels.',
      answers: { 200: { means: 'The levels.', schema: reference('LoggerLevels') } },
      handle: () => ({ status: 200, body: loggers.levels() }),
    },
    {
      method: 'GET',
      path: '/admin/loggers/{logger}',
      summary: 'The level of a logger.',
      answers: { 200: { means: 'The level.', schema: reference('LoggerLevel') } },
      handle: ({ params: { logger = '' } }) => {
        const body = loggers.level(logger);
        if (body === undefined) throw refusal(404, `Logger ${logger} not found.`);
        return { status: 200, body };
      },
    },
    {
      method: 'PUT',
      path: '/admin/loggers/{logger}',
      summary: 'Sets the level of a logger and of all below it, until the worker ends.',
      query: { scope: 'worker, or cluster, which has no answer. Default: worker.' },
      takes: reference('SetLevel'),
      answers: {
        200: { means: 'The loggers that changed.', schema: reference('Names') },
        204: { means: 'They have changed.' },
      },
      handle: (call) => setLevel(context, call),
    },
  ];
}

async function health({ worker }: ConnectContext): Promise<Answer> {
  if (!worker.isStarted) {
    return { status: 503, body: { status: 'starting', message: 'Worker is still starting up.' } };
  }
  try {
    await worker.clusterId();
  } catch {
    const message =
      'Worker was unable to handle this request and may be unable to handle other requests.';
    return { status: 500, body: { status: 'unhealthy', message } };
  }
  const message = 'Worker has completed startup and is ready to handle requests.';
  return { status: 200, body: { status: 'healthy', message } };
}

function setLevel({ loggers }: ConnectContext, { params, query, body }: Call): Answer {
  const { logger = '' } = params;
  const given = textField(objectBody(body), 'level');
  if (given === '') {
    throw refusal(400, "Desired 'level' parameter was not specified in request.");
  }
  const level = LEVELS.find((each) => each === given.toUpperCase());
  if (level === undefined) throw refusal(404, `invalid log level '${given}'.`);
  const changed = loggers.setLevel(logger, level);
  if (query.get('scope')?.toLowerCase() === 'cluster') return { status: 204 };
  return { status: 200, body: changed };
}
