import type { RetryStatus } from '../../core/index.ts';
import type { SinkProgress, SinkRunner } from '../runtime/sink-runner.ts';
import type { SourceProgress, SourceRunner } from '../runtime/source-runner.ts';
import type { ActiveTopics } from './active-topics.ts';
import type { ConnectorDefinition, MadeConnector } from './definition.ts';
import type { ConnectorKind, Properties, TargetState } from './worker-store.ts';

/**
 * What a connector does, in Kafka Connect's words. UNASSIGNED: it was not started yet. STOPPED: it
 * was told to stop, or has read all that there is. RESTARTING: it has failed and tries again.
 */
export type ConnectorState =
  'UNASSIGNED' | 'RUNNING' | 'PAUSED' | 'STOPPED' | 'FAILED' | 'RESTARTING';

/** A connector of a worker, at this moment. */
export interface ConnectorStatus {
  readonly name: string;
  readonly kind: ConnectorKind;
  /** As it was given: references are not resolved. */
  readonly definition: ConnectorDefinition;
  /** The definition in Kafka Connect's form, if it was given in that. */
  readonly properties: Properties | undefined;
  /** What it is to do. */
  readonly target: TargetState;
  readonly state: ConnectorState;
  /** How many tasks it has: none while it is stopped, or if it cannot be made. */
  readonly tasks: number;
  /** What ended it; in the state FAILED. */
  readonly failure: Error | undefined;
  /** In the state RESTARTING: why, and when it tries again. */
  readonly retry: RetryStatus | undefined;
  readonly progress: SourceProgress | SinkProgress | undefined;
}

/** A connector, and its runner while it has one. */
export interface Worked {
  readonly definition: ConnectorDefinition;
  readonly properties: Properties | undefined;
  readonly kind: ConnectorKind;
  /** Undefined of one that cannot be made any more: `failure` says why. */
  readonly made: MadeConnector | undefined;
  readonly topics: ActiveTopics;
  target: TargetState;
  runner: SourceRunner | SinkRunner | undefined;
  failure: Error | undefined;
}

/** What a connector does now. */
export function statusOf(name: string, worked: Worked): ConnectorStatus {
  const { definition, properties, kind, target, failure, runner } = worked;
  const progress = runner?.progress;
  return {
    ...{ name, kind, definition, properties, target, state: currentState(worked) },
    ...{ tasks: tasksOf(worked), failure, progress, retry: progress?.retry },
  };
}

function currentState({ made, target, runner }: Worked): ConnectorState {
  if (made === undefined) return 'FAILED';
  if (runner !== undefined) return stateOf(runner.progress.state);
  return target === 'STOPPED' ? 'STOPPED' : 'UNASSIGNED';
}

function tasksOf({ kind, runner }: Worked): number {
  if (runner === undefined || ['ENDED', 'STOPPED'].includes(runner.progress.state)) return 0;
  return kind === 'source' ? Math.max(1, runner.metrics().parts) : 1;
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
