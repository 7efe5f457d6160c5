import type { BrokerApi } from '../../core/index.ts';
import { StreamsError } from '../errors.ts';

/**
 * The ids of the applications running in this process, by broker: a state directory has one user.
 */
const running = new WeakMap<BrokerApi, Set<string>>();

/**
 * Takes the id and the state of an application for the caller alone, until the function that it
 * returns is called.
 *
 * @throws StreamsError APPLICATION_RUNNING
 */
export function claimApplication(api: BrokerApi, applicationId: string): () => void {
  const ids = running.get(api) ?? new Set<string>();
  running.set(api, ids);
  if (ids.has(applicationId)) {
    const message = `application ${applicationId} runs already on this log, in this process`;
    throw new StreamsError('APPLICATION_RUNNING', message, { applicationId });
  }
  ids.add(applicationId);
  return () => void ids.delete(applicationId);
}
