import type { RetryStatus } from '../../core/index.ts';
import type { SinkProgress, SinkRunner } from '../runtime/sink-runner.ts';
import type { SourceProgress, SourceRunner } from '../runtime/source-runner.ts';
import type { ConnectorDefinition, MadeConnector } from './definition.ts';
import type { TargetState } from './worker-store.ts';

/**
 * What a connector does, in Kafka Connect's words. UNASSIGNED: it was not started yet. STOPPED: it
 * was told to stop, or has read all that there is. RESTARTING: it has failed and tries again.
 */
export type ConnectorState =
  'UNASSIGNED' | 'RUNNING' | 'PAUSED' | 'STOPPED' | 'FAILED' | 'RESTARTING';

/** A connector of a worker, at this moment. */
export interface ConnectorStatus {
  readonly name: string;
  readonly kind: 'source' | 'sink';
  /** As it was given: references are not resolved. */
  readonly definition: ConnectorDefinition;
  readonly state: ConnectorState;
  /** What ended it; in the state FAILED. */
  readonly failure: Error | undefined;
  /** In the state RESTARTING: why, and when it tries again. */
  readonly retry: RetryStatus | undefined;
  readonly progress: SourceProgress | SinkProgress | undefined;
}

/** A connector, and its runner while it has one. */
export interface Worked {
  made: MadeConnector;
  target: TargetState;
  runner: SourceRunner | SinkRunner | undefined;
  failure: Error | undefined;
}

/** What a connector does now. */
export function statusOf(name: string, { made, runner, failure, target }: Worked): ConnectorStatus {
  const { definition, kind } = made;
  const progress = runner?.progress;
  const idle = target === 'STOPPED' ? 'STOPPED' : 'UNASSIGNED';
  return {
    ...{ name, kind, definition, failure, progress, retry: progress?.retry },
    state: progress === undefined ? idle : stateOf(progress.state),
  };
}

/** True of a runner that runs no more. */
export function isOver(runner: SourceRunner | SinkRunner): boolean {
  return ['ENDED', 'STOPPED', 'FAILED'].includes(runner.progress.state);
}

/** A runner's state in Kafka Connect's words. */
export function stateOf(state: SourceProgress['state']): ConnectorState {
  switch (state) {
    case 'READY':
      return 'UNASSIGNED';
    case 'RETRYING':
      return 'RESTARTING';
    case 'ENDED':
      return 'STOPPED';
    case 'RUNNING':
    case 'PAUSED':
    case 'STOPPED':
    case 'FAILED':
      return state;
  }
}
