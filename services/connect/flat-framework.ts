import type { CallersNames } from './flat-reading.ts';
import {
  RETRY_DEFAULTS,
  type ConnectorDefinition,
  type RetryOptions,
  type ToleranceOptions,
  type TransactionBoundary,
} from '../../connect/index.ts';

/** The value of the first of these fields that is given; `place` is then known by its name. */
type Take = (place: string, ...names: readonly string[]) => unknown;

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
  const take: Take = (place, ...names) => {
    const name = names.find((each) => values.has(each));
    if (name === undefined) return undefined;
    keys.set(place, name);
    return values.get(name);
  };
  const deadLetter = take('errors', 'errors.deadletterqueue.topic.name') as string | undefined;
  const max = take('errors', 'errors.max') as number | undefined;
  const tolerance = take('errors', 'errors.tolerance') as 'none' | 'all' | undefined;
  const errors: ToleranceOptions = defined({ tolerance, deadLetter, max });
  const retries = retriesOf(take);
  const [everyMs, ofBoundary] = ['commit.interval.ms', 'transaction.boundary.interval.ms'];
  return defined({
    errors: Object.keys(errors).length > 0 ? errors : undefined,
    retries: Object.keys(retries).length > 0 ? retries : undefined,
    commitIntervalMs: take('commitIntervalMs', everyMs, ofBoundary) as number | undefined,
    commitRecordsMax: take('commitRecordsMax', 'commit.records.max') as number | undefined,
    transactionBoundary: take('transactionBoundary', 'transaction.boundary') as
      TransactionBoundary | undefined,
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
function retriesOf(take: Take): RetryOptions {
  const backoffMaxMs = take('retries', 'errors.retry.delay.max.ms') as number | undefined;
  const backoffMs = take('retries', 'retries.backoff.ms') as number | undefined;
  const timeoutMs = take('retries', 'errors.retry.timeout') as number | undefined;
  const max =
    (take('retries', 'retries.max') as number | undefined) ??
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
