import type { CallersNames } from './flat-reading.ts';
import {
  RETRY_DEFAULTS,
  type ConnectorDefinition,
  type RetryOptions,
  type ToleranceOptions,
  type TransactionBoundary,
} from '../../connect/index.ts';

/** The parts of a definition that do not depend on its plugin. */
export type FrameworkParts = Pick<
  ConnectorDefinition,
  'errors' | 'retries' | 'commitIntervalMs' | 'commitRecordsMax' | 'transactionBoundary'
>;

/**
 * What the fields of the framework say.
 *
 * @param values parsed, by name.
 * @param keys gets the caller's names of the parts.
 */
export function frameworkParts(
  values: ReadonlyMap<string, unknown>,
  keys: CallersNames,
): FrameworkParts {
  const take = <T>(place: string, ...names: readonly string[]): T | undefined => {
    const name = names.find((each) => values.has(each));
    if (name === undefined) return undefined;
    keys.set(place, name);
    return values.get(name) as T;
  };
  const deadLetter = take<string>('errors', 'errors.deadletterqueue.topic.name');
  const max = take<number>('errors', 'errors.max');
  const tolerance = take<'none' | 'all'>('errors', 'errors.tolerance');
  const errors: ToleranceOptions = defined({ tolerance, deadLetter, max });
  const retries = retriesOf(take);
  const [everyMs, ofBoundary] = ['commit.interval.ms', 'transaction.boundary.interval.ms'];
  return defined({
    errors: Object.keys(errors).length > 0 ? errors : undefined,
    retries: Object.keys(retries).length > 0 ? retries : undefined,
    commitIntervalMs: take<number>('commitIntervalMs', everyMs, ofBoundary),
    commitRecordsMax: take<number>('commitRecordsMax', 'commit.records.max'),
    transactionBoundary: take<TransactionBoundary>('transactionBoundary', 'transaction.boundary'),
  });
}

/** The same as flat names. */
export function flatFramework(name: string, parts: FrameworkParts): Record<string, string> {
  const { errors = {}, retries = {}, transactionBoundary } = parts;
  const { deadLetter = false } = errors;
  const letters = deadLetter === true ? `connect-${name}-dead-letters` : deadLetter || undefined;
  const all = defined({
    'errors.tolerance': errors.tolerance,
    'errors.deadletterqueue.topic.name': letters,
    'errors.max': errors.max,
    'retries.max': retries.max === Infinity ? Number.MAX_SAFE_INTEGER : retries.max,
    'retries.backoff.ms': retries.backoffMs,
    'errors.retry.delay.max.ms': retries.backoffMaxMs,
    'commit.interval.ms': parts.commitIntervalMs,
    'commit.records.max': parts.commitRecordsMax,
    'transaction.boundary': transactionBoundary,
  });
  return Object.fromEntries(Object.entries(all).map(([key, value]) => [key, String(value)]));
}

type Defined<T> = { [Name in keyof T]?: Exclude<T[Name], undefined> };

function defined<T extends object>(parts: T): Defined<T> {
  const entries = Object.entries(parts).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Defined<T>;
}

/** Kafka Connect gives a failed operation some time; a run of ours has a number of tries. */
function retriesOf(
  take: <T>(place: string, ...names: readonly string[]) => T | undefined,
): RetryOptions {
  const backoffMaxMs = take<number>('retries', 'errors.retry.delay.max.ms');
  const backoffMs = take<number>('retries', 'retries.backoff.ms');
  const timeoutMs = take<number>('retries', 'errors.retry.timeout');
  const max =
    take<number>('retries', 'retries.max') ??
    (timeoutMs === undefined ? undefined : triesWithin(timeoutMs, { backoffMs, backoffMaxMs }));
  return defined({ max, backoffMs, backoffMaxMs });
}

/** How many tries begin within a time, if each waits twice as long as the last; -1 is for ever. */
function triesWithin(
  timeoutMs: number,
  waits: { readonly backoffMs: number | undefined; readonly backoffMaxMs: number | undefined },
): number {
  if (timeoutMs < 0) return Number.MAX_SAFE_INTEGER;
  const firstMs = Math.max(1, waits.backoffMs ?? RETRY_DEFAULTS.backoffMs);
  const longestMs = Math.max(firstMs, waits.backoffMaxMs ?? RETRY_DEFAULTS.backoffMaxMs);
  let [tries, leftMs, waitMs] = [0, timeoutMs, firstMs];
  while (waitMs < longestMs && waitMs <= leftMs) {
    leftMs -= waitMs;
    waitMs = Math.min(waitMs * 2, longestMs);
    tries++;
  }
  return waitMs < longestMs ? tries : tries + Math.floor(leftMs / longestMs);
}
