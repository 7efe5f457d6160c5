import { reference } from '../http/open-api.ts';
import { refusal, type Answer, type Call, type Route } from '../http/route.ts';
import { findConnector, notFound, type ConnectContext } from './context.ts';
import { statusView, taskInfos, type StatusView, type TaskView } from './views.ts';

const CONNECTOR = '/connectors/{connector}';

/** What connectors and tasks do, and telling them what to do. */
export function controlRoutes(context: ConnectContext): Route[] {
  const { worker } = context;
  const state = { means: 'What it does.', schema: reference('ConnectorStateInfo') };
  return [
    {
      method: 'GET',
      path: `${CONNECTOR}/status`,
      summary: 'What a connector does.',
      answers: { 200: state },
      handle: (call) => {
        const { connector = '' } = call.params;
        const body = statusIn(context, call, `No status found for connector ${connector}`);
        return { status: 200, body };
      },
    },
    {
      method: 'GET',
      path: `${CONNECTOR}/tasks`,
      summary: 'Its tasks and their configs.',
      answers: { 200: { means: 'The tasks.', schema: reference('TaskInfos') } },
      handle: ({ params: { connector = '' } }) => {
        const status = findConnector(context, connector, notFound(connector));
        return { status: 200, body: taskInfos(status, worker) };
      },
    },
    {
      method: 'GET',
      path: `${CONNECTOR}/tasks/{task}/status`,
      summary: 'What a task does.',
      answers: { 200: { means: 'What it does.', schema: reference('TaskState') } },
      handle: (call) => {
        const { connector = '', task = '' } = call.params;
        const missing = `No status found for task ${connector}-${taskNumber(task)}`;
        const { tasks } = statusIn(context, call, missing);
        return { status: 200, body: taskIn(tasks, task, missing) };
      },
    },
    {
      method: 'POST',
      path: `${CONNECTOR}/tasks/{task}/restart`,
      summary: 'Restarts a task: with the others, which are one run.',
      answers: { 204: { means: 'It has ended and begins again.' } },
      handle: async (call) => {
        const { connector = '', task = '' } = call.params;
        const number = taskNumber(task);
        const { tasks } = statusIn(context, call, `Unknown connector: ${connector}`);
        taskIn(tasks, task, `Unknown task: ${connector}-${number}`);
        await worker.restart(connector);
        return { status: 204 };
      },
    },
    {
      method: 'POST',
      path: `${CONNECTOR}/restart`,
      summary: 'Restarts a connector; its tasks are one run, and restart together.',
      query: {
        includeTasks: 'true: tasks, too. Default: false.',
        onlyFailed: 'true: only what is FAILED. Default: false.',
      },
      answers: {
        202: { means: 'What is restarted is RESTARTING.', schema: reference('ConnectorStateInfo') },
        204: { means: 'The connector has ended and begins again: without parameters.' },
      },
      handle: (call) => restart(context, call),
    },
    ...changeRoutes(context),
  ];
}

/** Telling a connector what to do from now on. */
function changeRoutes(context: ConnectContext): Route[] {
  return (['pause', 'resume', 'stop'] as const).map((action) => {
    const status = action === 'stop' ? 204 : 202;
    return {
      method: 'PUT',
      path: `${CONNECTOR}/${action}`,
      summary: SUMMARIES[action],
      answers: { [status]: { means: 'It is so, and kept in the log.' } },
      handle: async ({ params: { connector = '' } }) => {
        findConnector(context, connector, `Unknown connector ${connector}`);
        await context.worker[action](connector);
        return { status };
      },
    };
  });
}

const SUMMARIES = {
  pause: 'Has a connector move nothing; everything stays open.',
  resume: 'Has a connector go on that was paused or stopped.',
  stop: 'Ends a connector, which keeps its config and offsets.',
} as const;

function statusIn(context: ConnectContext, call: Call, missing: string): StatusView {
  const { connector = '' } = call.params;
  return statusView(findConnector(context, connector, missing), context);
}

/** @throws LogError REQUEST_REFUSED 404 for what is no number, as any other path. */
function taskNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw refusal(404, 'HTTP 404 Not Found');
}

function taskIn(tasks: readonly TaskView[], task: string, missing: string): TaskView {
  const found = tasks.find(({ id }) => id === taskNumber(task));
  if (found === undefined) throw refusal(404, missing);
  return found;
}

/** Restarts what KIP-745 says; connector and tasks are one run. */
async function restart(context: ConnectContext, call: Call): Promise<Answer> {
  const { connector: name = '' } = call.params;
  const isTrue = (parameter: string): boolean => /^true$/i.test(call.query.get(parameter) ?? '');
  const [includeTasks, onlyFailed] = [isTrue('includeTasks'), isTrue('onlyFailed')];
  const view = statusIn(context, call, `Unknown connector: ${name}`);
  if (!includeTasks && !onlyFailed) {
    await context.worker.restart(name);
    return { status: 204 };
  }
  const isDue = ({ state }: { readonly state: string }): boolean =>
    !onlyFailed || state === 'FAILED';
  const { connector, tasks } = view;
  const restarting = { state: 'RESTARTING' } as const;
  const body: StatusView = {
    ...view,
    connector: isDue(connector) ? { ...connector, ...restarting } : connector,
    tasks: tasks.map((task) => (includeTasks && isDue(task) ? { ...task, ...restarting } : task)),
  };
  const isAny = isDue(connector) || (includeTasks && tasks.some(isDue));
  if (isAny) await context.worker.restart(name);
  return { status: 202, body };
}
