import type { Clock, Timer } from '../clock.ts';
import { LogError } from '../errors.ts';
import type {
  FetchedPartition,
  FetchPartition,
  FetchRequest,
  FetchResponse,
  IsolationLevel,
} from '../protocol/broker-api.ts';
import { ledPartition } from './leadership.ts';
import type { Partition } from './partitions.ts';
import type { Topics } from './topics.ts';

const NOTHING = Buffer.alloc(0);

/** The end of a broker, for those who wait in it. */
export class Closing {
  #error: LogError | undefined;
  readonly #waiters = new Set<() => void>();

  /** Wakes all who wait, for good: they get `error`. */
  begin(error: LogError): void {
    this.#error = error;
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }

  /** @throws LogError what `begin` was told. */
  check(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  add(waiter: () => void): void {
    this.#waiters.add(waiter);
  }

  delete(waiter: () => void): void {
    this.#waiters.delete(waiter);
  }
}

/** Where a fetch looks, and what may end its wait. */
export interface FetchEnvironment {
  readonly topics: Topics;
  readonly clock: Clock;
  readonly closing: Closing;
}

/**
 * Answers a fetch as soon as there are `minBytes`, an error, or `maxWaitMs` are over. Partitions
 * are read in the order of the request until `maxBytes` are reached, so a caller that wants all of
 * them to get their turn changes the order from request to request.
 *
 * @throws LogError CLOSED when the broker is closed meanwhile.
 */
export async function fetchFrom(
  environment: FetchEnvironment,
  request: FetchRequest,
): Promise<FetchResponse> {
  const { topics, clock, closing } = environment;
  const deadlineMs = clock.monotonicMs() + request.maxWaitMs;
  for (;;) {
    closing.check();
    const ends = endsOf(topics, request);
    const partitions = await readAll(topics, request);
    const sizeBytes = partitions.reduce((sum, { records }) => sum + records.length, 0);
    const leftMs = deadlineMs - clock.monotonicMs();
    const hasError = partitions.some(({ error }) => error !== undefined);
    if (sizeBytes >= request.minBytes || hasError || leftMs <= 0) return { partitions };
    await untilChange(environment, request, { ends, delayMs: leftMs });
  }
}

async function readAll(topics: Topics, request: FetchRequest): Promise<FetchedPartition[]> {
  let left = request.maxBytes;
  const reads: Promise<FetchedPartition>[] = [];
  for (const wanted of request.partitions) {
    const partition = find(topics, wanted);
    if (partition instanceof LogError) {
      reads.push(Promise.resolve(failed(wanted, partition)));
    } else if (wanted.fetchOffset !== endOf(partition, request.isolationLevel)) {
      const maxBytes = Math.min(wanted.maxBytes, left);
      if (maxBytes <= 0) continue;
      // Counted as full, for the reads run at once; it is a limit on memory, not a promise.
      left -= maxBytes;
      reads.push(read(topics, partition, { ...wanted, maxBytes }, request.isolationLevel));
    }
  }
  return Promise.all(reads);
}

async function read(
  topics: Topics,
  partition: Partition,
  wanted: FetchPartition,
  isolationLevel: IsolationLevel,
): Promise<FetchedPartition> {
  const { log } = partition;
  const { fetchOffset, maxBytes } = wanted;
  try {
    // Fixed before reading: what is stable now stays so, and the markers below are all in the
    // index.
    const endOffset = endOf(partition, isolationLevel);
    const { bytes, nextOffset } = await log.read(fetchOffset, { endOffset, maxBytes });
    const aborted =
      isolationLevel === 'read_committed' ? log.abortedTransactions(fetchOffset, nextOffset) : [];
    return {
      ...watermarks(partition),
      abortedTransactions: aborted.map(({ producerId, firstOffset }) => ({
        producerId,
        firstOffset,
      })),
      records: bytes,
    };
  } catch (error) {
    return failed(wanted, topics.causeOf(error, partition), partition);
  }
}

function find(topics: Topics, wanted: FetchPartition): Partition | LogError {
  try {
    return ledPartition(topics, wanted);
  } catch (error) {
    return error as LogError;
  }
}

function endOf({ log }: Partition, isolationLevel: IsolationLevel): number {
  return isolationLevel === 'read_committed' ? log.lastStableOffset : log.highWatermark;
}

function watermarks({ topic, partition, log }: Partition) {
  const { highWatermark, lastStableOffset, logStartOffset } = log;
  return { topic, partition, highWatermark, lastStableOffset, logStartOffset };
}

function failed(wanted: FetchPartition, error: unknown, partition?: Partition): FetchedPartition {
  const { topic, partition: number } = wanted;
  const unknown = {
    topic,
    partition: number,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
  };
  return {
    ...(partition === undefined ? unknown : watermarks(partition)),
    error: LogError.toData(error),
    abortedTransactions: [],
    records: NOTHING,
  };
}

/** Where each partition of the request ends; undefined where it cannot be read. */
function endsOf(
  topics: Topics,
  { partitions, isolationLevel }: FetchRequest,
): (number | undefined)[] {
  return partitions.map((wanted) => {
    const partition = find(topics, wanted);
    return partition instanceof LogError ? undefined : endOf(partition, isolationLevel);
  });
}

/** Resolves when any of the partitions no longer ends where `ends` says, or after `delayMs`. */
function untilChange(
  { topics, clock, closing }: FetchEnvironment,
  request: FetchRequest,
  since: { readonly ends: readonly (number | undefined)[]; readonly delayMs: number },
): Promise<void> {
  const now = endsOf(topics, request);
  if (now.some((end, index) => end !== since.ends[index])) return Promise.resolve();
  closing.check();
  return new Promise((resolve) => {
    const watched: Partition[] = [];
    let timer: Timer | undefined = undefined;
    const done = (): void => {
      timer?.cancel();
      closing.delete(done);
      for (const { waiters } of watched) waiters.delete(done);
      resolve();
    };
    for (const wanted of request.partitions) {
      const partition = find(topics, wanted);
      if (partition instanceof LogError) continue;
      partition.waiters.add(done);
      watched.push(partition);
    }
    closing.add(done);
    timer = clock.setTimer(since.delayMs, done);
  });
}
