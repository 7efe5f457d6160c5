import type { LogError } from '../../errors.ts';
import { unreachable } from '../../assert.ts';
import type { Failure } from './failure.ts';

/**
 * Whether a log can be written (docs/internals/durability.md draws the transitions):
 *
 * - `open`: it can.
 * - `reloading`: a write has failed. What it left is cut off, and the log is loaded again, because
 *   offsets and sequences had run ahead. Appends fail meanwhile; syncs of what was written wait.
 * - `full`: there was no room. If it is loaded, appends are tried, and the first that succeeds
 *   opens it. If not, there was no room even for the loading: the next append has that tried again.
 * - `dead`: a sync has failed, or the loading. Nothing is acknowledged until the log is opened by
 *   the next process, or at least the next `PartitionLog`.
 */
export type Health =
  | { readonly kind: 'open' }
  | { readonly kind: 'reloading'; readonly cause: LogError; readonly isFull: boolean }
  | { readonly kind: 'full'; readonly cause: LogError; readonly isLoaded: boolean }
  | { readonly kind: 'dead'; readonly cause: LogError };

/**
 * - `closing`: no append is taken any more. What was taken still goes to the disk, so the health
 *   changes as before.
 * - `closed`: the files are given back.
 */
export type State =
  | Health
  | {
      readonly kind: 'closing';
      readonly cause: LogError;
      readonly health: Health;
      /** Nothing is made durable at the end, and nothing is read any more. */
      readonly isAbandoned: boolean;
    }
  | {
      readonly kind: 'closed';
      readonly cause: LogError;
      /** What a sync of anything fails with that is not durable. */
      readonly syncCause: LogError;
    };

export type DurabilityState = State['kind'];

/** What happens to a log, as far as it changes the state. */
export type StateEvent =
  /** An operation on the files has failed. */
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** A write has succeeded. */
  | { readonly kind: 'written' }
  /** Somebody wanted to append, and could not. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'reloaded' }
  | { readonly kind: 'reload failed'; readonly failure: Failure }
  | { readonly kind: 'closing'; readonly cause: LogError; readonly isAbandoned: boolean }
  | { readonly kind: 'closed'; readonly syncCause: LogError };

export const OPEN: Health = { kind: 'open' };

/** All that can change the state. Returns the same object when nothing does. */
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
      if (event.kind === 'refused') return state; // a log that ends is not loaded again for it
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
  // After it not even what was written can be relied on: it outweighs all other failures.
  if (kind === 'sync') return { kind: 'dead', cause };
  if (!isWritable(health)) return health;
  return { kind: 'reloading', cause, isFull: kind === 'full' };
}

/** True when batches are written and syncs begun. */
export function isWritable(health: Health): boolean {
  return health.kind === 'open' || (health.kind === 'full' && health.isLoaded);
}

export function healthOf(state: State): Health {
  if (state.kind === 'closing') return state.health;
  if (state.kind === 'closed') return { kind: 'dead', cause: state.syncCause };
  return state;
}

/** Why nothing can be written, if so. */
export function obstacleIn(health: Health): LogError | undefined {
  return health.kind === 'open' || isWritable(health) ? undefined : health.cause;
}
