import type { LogError } from '../../errors.ts';
import { unreachable } from '../../assert.ts';
import type { Failure } from './failure.ts';

/**
 * Whether a log can be written (docs/internals/durability.md draws the transitions):
 *
 * - `open`: it can.
 * - `reloading`: a write has failed. Its remains are truncated and the log is reloaded, because
 *   offsets and sequences had run ahead. Meanwhile appends fail and syncs of written batches wait.
 * - `full`: there was no room. If the log is loaded, appends are tried, and the first success opens
 *   it. If not, even the reload ran out of space: the next append retries it.
 * - `dead`: a sync or the reload has failed. Nothing is acknowledged until the next process, or at
 *   least the next `PartitionLog`, opens the log.
 */
export type Health =
  | { readonly kind: 'open' }
  | { readonly kind: 'reloading'; readonly cause: LogError; readonly isFull: boolean }
  | { readonly kind: 'full'; readonly cause: LogError; readonly isLoaded: boolean }
  | { readonly kind: 'dead'; readonly cause: LogError };

/**
 * - `closing`: new appends fail. Accepted ones still go to the disk, so the health changes as
 *   before.
 * - `closed`: the files are closed.
 */
export type State =
  | Health
  | {
      readonly kind: 'closing';
      readonly cause: LogError;
      readonly health: Health;
      /** Closing makes nothing durable, and reads fail. */
      readonly isAbandoned: boolean;
    }
  | {
      readonly kind: 'closed';
      readonly cause: LogError;
      /** The error of every sync of batches that are not durable. */
      readonly syncCause: LogError;
    };

export type DurabilityState = State['kind'];

/** The events that change the state of a log. */
export type StateEvent =
  /** An operation on the files has failed. */
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** A write has succeeded. */
  | { readonly kind: 'written' }
  /** An append was refused. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'reloaded' }
  | { readonly kind: 'reload failed'; readonly failure: Failure }
  | { readonly kind: 'closing'; readonly cause: LogError; readonly isAbandoned: boolean }
  | { readonly kind: 'closed'; readonly syncCause: LogError };

export const OPEN: Health = { kind: 'open' };

/** The only transition function. Returns the same object if nothing changes. */
export function after(state: State, event: StateEvent): State {
  switch (state.kind) {
    case 'closed':
      return state;
    case 'closing': {
      if (event.kind === 'closed') {
        return { kind: 'closed', cause: state.cause, syncCause: event.syncCause };
      }
      if (event.kind === 'closing') {
        return { ...state, isAbandoned: state.isAbandoned || event.isAbandoned };
      }
      if (event.kind === 'refused') return state; // a closing log does not reload for it
      const health = healthAfter(state.health, event);
      return health === state.health ? state : { ...state, health };
    }
    default:
      if (event.kind === 'closing') {
        const { cause, isAbandoned } = event;
        return { kind: 'closing', cause, isAbandoned, health: state };
      }
      return healthAfter(state, event);
  }
}

function healthAfter(health: Health, event: StateEvent): Health {
  switch (event.kind) {
    case 'failed':
      return afterFailure(health, event.failure);
    case 'written':
      return health.kind === 'full' && health.isLoaded ? OPEN : health;
    case 'refused': {
      if (health.kind !== 'full' || health.isLoaded) return health;
      return { kind: 'reloading', cause: health.cause, isFull: true };
    }
    case 'reloaded': {
      if (health.kind !== 'reloading') return health;
      return health.isFull ? { kind: 'full', cause: health.cause, isLoaded: true } : OPEN;
    }
    case 'reload failed': {
      if (health.kind !== 'reloading') return health;
      const { kind, error: cause } = event.failure;
      return kind === 'full' ? { kind, cause, isLoaded: false } : { kind: 'dead', cause };
    }
    case 'closing':
    case 'closed':
      return health;
    default:
      return unreachable(event);
  }
}

function afterFailure(health: Health, { kind, error: cause }: Failure): Health {
  if (health.kind === 'dead') return health;
  // After it, not even written batches are reliable: it outweighs all other failures.
  if (kind === 'sync') return { kind: 'dead', cause };
  if (!isWritable(health)) return health;
  return { kind: 'reloading', cause, isFull: kind === 'full' };
}

/** True if batches may be written and syncs begun. */
export function isWritable(health: Health): boolean {
  return health.kind === 'open' || (health.kind === 'full' && health.isLoaded);
}

export function healthOf(state: State): Health {
  if (state.kind === 'closing') return state.health;
  if (state.kind === 'closed') return { kind: 'dead', cause: state.syncCause };
  return state;
}

/** The reason why writes fail, or undefined if they do not. */
export function obstacleIn(health: Health): LogError | undefined {
  return health.kind === 'open' || isWritable(health) ? undefined : health.cause;
}
