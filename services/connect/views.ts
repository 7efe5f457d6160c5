import {
  BUILT_IN_PLUGINS,
  type ConnectorState,
  type ConnectorStatus,
  type ConnectWorker,
  type Properties,
} from '../../connect/index.ts';
import type { ConnectContext } from './context.ts';
import { shownProperties } from './secrets.ts';

/** A connector or a task, as Kafka Connect tells its state. */
interface StateView {
  readonly state: ConnectorState;
  readonly worker_id: string;
  /** Of the plugin, if it is one of ours. */
  readonly version?: string;
  readonly trace?: string;
}

/** A task's. */
export type TaskView = { readonly id: number } & StateView;

/** What `/connectors/{connector}/status` answers. */
export interface StatusView {
  readonly name: string;
  readonly connector: StateView;
  readonly tasks: readonly TaskView[];
  readonly type: ConnectorStatus['kind'];
}

/** What `/connectors/{connector}` answers. */
export interface InfoView {
  readonly name: string;
  readonly config: Properties;
  readonly tasks: readonly { readonly connector: string; readonly task: number }[];
  readonly type: ConnectorStatus['kind'];
}

/** A connector, its config without secrets, and its tasks. */
export function infoOf(status: ConnectorStatus, worker: ConnectWorker): InfoView {
  const { name, kind: type } = status;
  const config = shownProperties(status, worker.plugins);
  return { name, config, tasks: taskIds(status), type };
}

/** The tasks with their configs: each has that of its connector. */
export function taskInfos(status: ConnectorStatus, worker: ConnectWorker): object[] {
  const config: Properties = {
    ...shownProperties(status, worker.plugins),
    'task.class': status.definition.connector,
  };
  return taskIds(status).map((id) => ({ id, config }));
}

function taskIds({ name, tasks }: ConnectorStatus): { connector: string; task: number }[] {
  return Array.from({ length: tasks }, (_, task) => ({ connector: name, task }));
}

/**
 * What a connector and its tasks do. They are one run: where that fails, Kafka Connect's clients
 * look at tasks, and the connector is FAILED only if it cannot be made.
 */
export function statusView(
  status: ConnectorStatus,
  { worker, version }: Pick<ConnectContext, 'worker' | 'version'>,
): StatusView {
  const { name, kind: type, state, tasks: count, target, failure, retry } = status;
  const { definition } = status;
  const isOurs = BUILT_IN_PLUGINS.some((plugin) => plugin.name === definition.connector);
  const at = { worker_id: worker.workerId, ...(isOurs && { version }) };
  const cause = failure ?? retry?.cause;
  const trace = cause === undefined ? {} : { trace: traceOf(cause) };
  const isFault = state === 'FAILED' || state === 'RESTARTING';
  const whole = target === 'PAUSED' ? 'PAUSED' : 'RUNNING';
  const connector: StateView =
    isFault && count > 0
      ? { state: whole, ...at }
      : { state, ...at, ...(state === 'FAILED' && trace) };
  const tasks = Array.from({ length: count }, (_, id) => {
    return { id, state, ...at, ...(isFault && trace) };
  });
  return { name, connector, tasks, type };
}

/** An error with its stack, and those of its causes, as Java prints them. */
function traceOf(error: Error): string {
  const own = error.stack ?? `${error.name}: ${error.message}`;
  return error.cause instanceof Error ? `${own}\nCaused by: ${traceOf(error.cause)}` : own;
}
