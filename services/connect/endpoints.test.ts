import { describe, expect, test } from 'vitest';
import { serveWorker, until, type ServedWorker } from '../../test/kit/connect-rest.ts';

/** A call, its body, and what is answered: status and body. */
type Golden = readonly [call: string, given: unknown, status: number, answer: unknown];

const NONE = undefined;
const any = expect.anything() as unknown;
const error = (error_code: number, message: unknown) => ({ error_code, message });
const CONFIG = { name: 'count', 'connector.class': 'counter', end: '3' };
const INFO = { name: 'count', config: CONFIG, tasks: any, type: 'source' };

/** Sends the calls in order, and compares what each answers. */
async function expectAnswers({ send }: ServedWorker, table: readonly Golden[]): Promise<void> {
  for (const [call, given, status, answer] of table) {
    const { status: actual, body } = await send(call, given);
    expect([call, actual, body]).toEqual([call, status, answer]);
  }
}

const stateIn = (worker: ServedWorker['worker'], name: string): string => worker.status(name).state;

describe('[CONNECT-REST-1] the service answers as Kafka Connect:', () => {
  test('itself', async () => {
    const served = await serveWorker();
    const healthy = 'Worker has completed startup and is ready to handle requests.';
    await expectAnswers(served, [
      ['GET /', NONE, 200, { version: any, commit: 'unknown', kafka_cluster_id: any }],
      ['GET /health', NONE, 200, { status: 'healthy', message: healthy }],
      ['GET /admin/loggers', NONE, 200, { root: { level: 'WARN', last_modified: null } }],
      ['GET /admin/loggers/root', NONE, 200, { level: 'WARN', last_modified: null }],
      ['PUT /admin/loggers/connect.rest', { level: 'debug' }, 200, ['connect.rest']],
      ['GET /admin/loggers/connect.rest', NONE, 200, { level: 'DEBUG', last_modified: any }],
      ['PUT /admin/loggers/connect?scope=cluster', { level: 'ERROR' }, 204, NONE],
      ['GET /admin/loggers/connect.rest', NONE, 200, { level: 'ERROR', last_modified: any }],
      ['GET /admin/loggers/none', NONE, 404, error(404, 'Logger none not found.')],
      ['PUT /admin/loggers/a', { level: 'LOUD' }, 404, error(404, "invalid log level 'LOUD'.")],
      ['PUT /admin/loggers/a', {}, 400, error(400, any)],
    ]);
    const ids = await served.worker.clusterId();
    expect((await served.send('GET /')).body).toMatchObject({ kafka_cluster_id: ids });
  });

  test('connectors, from their creation to their end', async () => {
    const served = await serveWorker();
    const { send } = served;
    const { name, ...config } = CONFIG;
    await expectAnswers(served, [
      ['GET /connectors', NONE, 200, []],
      ['POST /connectors', { name, config }, 201, INFO],
      ['POST /connectors', { name, config }, 409, error(409, 'Connector count already exists')],
      ['GET /connectors', NONE, 200, ['count']],
      ['GET /connectors/count', NONE, 200, INFO],
      ['GET /connectors/count/config', NONE, 200, CONFIG],
      ['PATCH /connectors/count/config', { end: null, failAt: 7 }, 200, any],
    ]);
    const patched = { name, 'connector.class': 'counter', failAt: '7' };
    await expectAnswers(served, [
      ['GET /connectors/count/config', NONE, 200, patched],
      ['PUT /connectors/count/config', config, 200, INFO],
      ['PUT /connectors/other/config', config, 201, { ...INFO, name: 'other', config: any }],
      ['GET /connectors', NONE, 200, ['count', 'other']],
      ['DELETE /connectors/other', NONE, 204, NONE],
      ['DELETE /connectors/other', NONE, 404, error(404, 'Connector other not found')],
      ['GET /connectors/other', NONE, 404, error(404, 'Connector other not found')],
      ['GET /connectors/other/config', NONE, 404, error(404, 'Connector other not found')],
      ['PATCH /connectors/other/config', {}, 404, error(404, 'Connector other not found')],
      ['GET /connectors/other/tasks', NONE, 404, error(404, 'Connector other not found')],
    ]);
    const created = await send('POST /connectors', { name: 'third', config });
    expect(created.headers.get('location')).toMatch(/^http:\/\/127[^]*\/connectors\/third$/);
  });

  test('expansions', async () => {
    const served = await serveWorker();
    const { name, ...config } = CONFIG;
    const create = { name, config, initial_state: 'PAUSED' };
    const state = { state: 'PAUSED', worker_id: 'w1' };
    const status = { name, connector: state, tasks: [{ id: 0, ...state }], type: 'source' };
    const info = { ...INFO, tasks: [{ connector: 'count', task: 0 }] };
    await expectAnswers(served, [
      ['POST /connectors', create, 201, info],
      ['GET /connectors?expand=status', NONE, 200, { count: { status } }],
      ['GET /connectors?expand=status&expand=info', NONE, 200, { count: { status, info } }],
      ['GET /connectors?expand=weather', NONE, 200, { count: {} }],
    ]);
  });

  test('states and tasks', async () => {
    const served = await serveWorker();
    const { worker } = served;
    const state = { state: 'RUNNING', worker_id: 'w1' };
    const running = {
      ...{ name: 'count', connector: state, tasks: [{ id: 0, ...state }], type: 'source' },
    };
    const stopped = { state: 'STOPPED', worker_id: 'w1' };
    const config = { 'connector.class': 'counter' };
    await served.send('PUT /connectors/count/config', config);
    await until(() => stateIn(worker, 'count') === 'RUNNING');
    const task = { id: { connector: 'count', task: 0 }, config: any };
    const restarting = { state: 'RESTARTING', worker_id: 'w1' };
    const whole = { connector: restarting, tasks: [{ id: 0, ...restarting }] };
    await expectAnswers(served, [
      ['GET /connectors/count/status', NONE, 200, running],
      ['GET /connectors/count/tasks', NONE, 200, [task]],
      ['GET /connectors/count/tasks/0/status', NONE, 200, { id: 0, ...state }],
      ['PUT /connectors/count/pause', NONE, 202, NONE],
      ['GET /connectors/count/tasks/0/status', NONE, 200, { id: 0, ...state, state: 'PAUSED' }],
      ['PUT /connectors/count/resume', NONE, 202, NONE],
      ['POST /connectors/count/restart', NONE, 204, NONE],
      ['POST /connectors/count/tasks/0/restart', NONE, 204, NONE],
      ['POST /connectors/count/restart?includeTasks=true', NONE, 202, { ...running, ...whole }],
      ['POST /connectors/count/restart?onlyFailed=true', NONE, 202, any],
      ['PUT /connectors/count/stop', NONE, 204, NONE],
      ['GET /connectors/count/status', NONE, 200, { ...running, connector: stopped, tasks: [] }],
      ['GET /connectors/count/tasks', NONE, 200, []],
      ['GET /connectors/x/status', NONE, 404, error(404, 'No status found for connector x')],
      ['GET /connectors/x/tasks/1/status', NONE, 404, error(404, 'No status found for task x-1')],
      ['GET /connectors/count/tasks/y/status', NONE, 404, error(404, 'HTTP 404 Not Found')],
      ['POST /connectors/x/tasks/1/restart', NONE, 404, error(404, 'Unknown connector: x')],
      ['POST /connectors/count/tasks/1/restart', NONE, 404, error(404, 'Unknown task: count-1')],
      ['PUT /connectors/x/pause', NONE, 404, error(404, 'Unknown connector x')],
      ['PUT /connectors/x/resume', NONE, 404, error(404, 'Unknown connector x')],
      ['PUT /connectors/x/stop', NONE, 404, error(404, 'Unknown connector x')],
      ['POST /connectors/x/restart', NONE, 404, error(404, 'Unknown connector: x')],
    ]);
  });

  test('failures: those of runs are those of tasks', async () => {
    const { send, worker } = await serveWorker();
    const config = { 'connector.class': 'counter', failAt: 2, 'errors.retry.timeout': 0 };
    await send('PUT /connectors/count/config', config);
    await until(() => stateIn(worker, 'count') === 'FAILED');
    const failed = await send('GET /connectors/count/status');
    expect(failed.body).toMatchObject({
      connector: { state: 'RUNNING' },
      tasks: [{ id: 0, state: 'FAILED', trace: expect.stringContaining('no network') as string }],
    });
    const only = await send('POST /connectors/count/restart?includeTasks=true&onlyFailed=true');
    expect(only.body).toMatchObject({
      connector: { state: 'RUNNING' },
      tasks: [{ id: 0, state: 'RESTARTING' }],
    });
    await until(() => stateIn(worker, 'count') === 'FAILED');
    await send('PATCH /connectors/count/config', { 'errors.retry.timeout': -1 });
    await until(() => stateIn(worker, 'count') === 'RESTARTING');
    expect((await send('GET /connectors/count/tasks/0/status')).body).toMatchObject({
      ...{ state: 'RESTARTING', trace: expect.stringContaining('no network') as string },
    });
  });

  test('offsets', async () => {
    const served = await serveWorker();
    const { worker, send } = served;
    const { name, ...config } = CONFIG;
    const sink = { name: 'sink', config: { 'connector.class': 'forgetter' } };
    const place = { kafka_topic: 'numbers', kafka_partition: 0 };
    const as = (next: unknown) => ({ partition: {}, offset: { next } });
    const at = (kafka_offset: unknown) => ({ partition: place, offset: { kafka_offset } });
    const done = (how: string) => ({
      message: `The offsets for this connector have been ${how} successfully`,
    });
    await send('POST /connectors', { name, config, initial_offsets: [as(1)] });
    await until(() => stateIn(worker, 'count') === 'STOPPED');
    await send('POST /connectors', { ...sink, initial_state: 'STOPPED' });
    await expectAnswers(served, [
      ['GET /connectors/count/offsets', NONE, 200, { offsets: [as(3)] }],
      ['PATCH /connectors/count/offsets', { offsets: [as(0)] }, 400, error(400, any)],
      ['DELETE /connectors/count/offsets', NONE, 400, error(400, any)],
      ['PUT /connectors/count/stop', NONE, 204, NONE],
      ['PATCH /connectors/count/offsets', { offsets: [as(2)] }, 200, done('altered')],
      ['GET /connectors/count/offsets', NONE, 200, { offsets: [as(2)] }],
      ['DELETE /connectors/count/offsets', NONE, 200, done('reset')],
      ['GET /connectors/count/offsets', NONE, 200, { offsets: [] }],
      ['PATCH /connectors/count/offsets', { offsets: [] }, 400, error(400, any)],
      ['PATCH /connectors/sink/offsets', { offsets: [at('2')] }, 200, done('altered')],
      ['GET /connectors/sink/offsets', NONE, 200, { offsets: [at(2)] }],
      ['PATCH /connectors/sink/offsets', { offsets: [at('x')] }, 400, error(400, any)],
      ['PATCH /connectors/sink/offsets', { offsets: [as(2)] }, 400, error(400, any)],
      ['DELETE /connectors/sink/offsets', NONE, 200, done('reset')],
      ['GET /connectors/sink/offsets', NONE, 200, { offsets: [] }],
      ['GET /connectors/x/offsets', NONE, 404, error(404, 'Connector x not found')],
      ['DELETE /connectors/x/offsets', NONE, 404, error(404, 'Connector x not found')],
    ]);
    const numbers = (await send('GET /connectors/count/topics')).body;
    expect(numbers).toEqual({ count: { topics: ['numbers'] } });
    await expectAnswers(served, [
      ['PUT /connectors/count/topics/reset', NONE, 202, NONE],
      ['GET /connectors/count/topics', NONE, 200, { count: { topics: [] } }],
      ['GET /connectors/x/topics', NONE, 200, { x: { topics: [] } }],
    ]);
  });

  test('plugins', async () => {
    const { send } = await serveWorker();
    const connectors = (await send('GET /connector-plugins')).body as { type: string }[];
    const types = connectors.map(({ type }) => type);
    expect(types).toEqual([...types].sort()); // sinks first
    expect(new Set(types)).toEqual(new Set(['sink', 'source']));
    expect(connectors).toContainEqual({ class: 'file-source', type: 'source', version: any });
    expect(connectors).toContainEqual({ class: 'counter', type: 'source' });
    const all = (await send('GET /connector-plugins?connectorsOnly=false')).body;
    expect(all).toContainEqual({ class: 'Cast', type: 'transformation', version: any });
    expect(all).toContainEqual({ class: 'HasHeaderKey', type: 'predicate', version: any });
    const config = (await send('GET /connector-plugins/counter/config')).body;
    expect(config).toContainEqual({
      ...{ name: 'token', type: 'PASSWORD', required: false, default_value: null },
      ...{
        importance: 'MEDIUM',
        documentation: any,
        group: 'counter',
        order_in_group: 3,
        width: 'MEDIUM',
      },
      ...{ display_name: 'token', dependents: [] },
    });
    expect(config).toContainEqual(
      expect.objectContaining({
        name: 'tasks.max',
        type: 'LONG',
        default_value: '1',
        order_in_group: 3,
      }),
    );
    const cast = (await send('GET /connector-plugins/Cast/config')).body as { name: string }[];
    expect(cast.map((each) => each.name)).toEqual(['spec', 'target']);
    const none = await send('GET /connector-plugins/none/config');
    expect(none.body).toEqual(error(404, 'Unknown plugin none.'));
  });
});
