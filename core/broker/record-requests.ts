import { LogError } from '../errors.ts';
import { foundOf } from '../protocol/answer-errors.ts';
import type { RequestHandlers } from '../protocol/exchange.ts';
import type {
  ProduceBatch,
  ProduceRequest,
  ProduceResult,
  RecordRequests,
} from '../protocol/record-requests.ts';
import { batchProducer, isTransactionalBatch } from '../record/batch.ts';
import { asBuffer } from '../serde/serde.ts';
import { fetchFrom, type FetchEnvironment } from './fetch.ts';
import { checkNotInternal, isInternal } from './internal-topics.ts';
import { offsetForLeaderEpoch } from './leadership.ts';
import { listOffsets } from './list-offsets.ts';
import type { Partition } from './partitions.ts';
import type { TransactionCoordinator } from './transaction-coordinator.ts';

export interface RecordEnvironment extends FetchEnvironment {
  readonly transactions: TransactionCoordinator;
  /** Called with the size of each batch that was appended. */
  readonly appended: (sizeBytes: number) => void;
}

/** Answers requests that write and read records. */
export function recordRequests(environment: RecordEnvironment): RequestHandlers<RecordRequests> {
  const { topics } = environment;
  return {
    produce: async (request) => {
      if (request.addsPartitions === true) {
        const refused = await addPartitions(environment, request);
        if (refused !== undefined) return { results: refused };
      }
      const pending = request.batches.map((batch) => append(environment, batch, request));
      if (request.acks !== 0) return { results: await Promise.all(pending) };
      const results = request.batches.map(({ topic, partition }) => {
        return { topic, partition, baseOffset: -1 };
      });
      return { results };
    },
    fetch: (request) => fetchFrom(environment, request),
    listOffsets: (request) => listOffsets(topics, request),
    offsetForLeaderEpoch: (request) => offsetForLeaderEpoch(topics, request),
    deleteRecords: async (request) => {
      const deletions = request.partitions.map(({ topic, partition, offset }) =>
        foundOf({ topic, partition }, { logStartOffset: -1 }, async () => {
          checkNotInternal(topic);
          const { log } = topics.partition({ topic, partition });
          const upTo = offset === -1 ? log.highWatermark : offset;
          // A log must not end before it begins: records become durable before they are deleted.
          await log.sync(Math.min(upTo, log.highWatermark));
          return { logStartOffset: await log.deleteRecords(upTo) };
        }),
      );
      const results = await Promise.all(deletions);
      await topics.checkpoints.writeLogStarts(() => topics.partitions());
      return { results };
    },
  };
}

/** Makes the partitions of a request part of its transaction; returns what went wrong, if so. */
async function addPartitions(
  { topics, transactions }: RecordEnvironment,
  { transactionalId, batches }: ProduceRequest,
): Promise<ProduceResult[] | undefined> {
  const [first] = batches;
  if (transactionalId === undefined || first === undefined) return undefined;
  // Those that do not exist are refused one by one.
  const places = batches.filter(({ topic, partition }) => {
    return !isInternal(topic) && topics.find(topic)?.partitions[partition] !== undefined;
  });
  try {
    const producer = batchProducer(asBuffer(first.records));
    await transactions.addPartitions({ transactionalId, ...producer }, places);
    return undefined;
  } catch (cause) {
    const error = LogError.toData(cause);
    return batches.map(({ topic, partition }) => ({ topic, partition, baseOffset: -1, error }));
  }
}

/** Appends one batch; resolves when what `acks` promises is true. Never rejects. */
async function append(
  { topics, transactions, appended }: RecordEnvironment,
  batch: ProduceBatch,
  request: ProduceRequest,
): Promise<ProduceResult> {
  const { topic, partition } = batch;
  let found: Partition | undefined;
  try {
    checkNotInternal(topic);
    found = topics.partition(batch);
    const records = asBuffer(batch.records);
    const { transactionalId } = request;
    if (transactionalId !== undefined) {
      transactions.verify({ transactionalId, ...batchProducer(records) }, topic, partition);
    } else if (isTransactionalBatch(records)) {
      throw outsideTransaction(topic, partition);
    }
    const { baseOffset, lastOffset, written } = found.log.append(records);
    appended(records.length);
    if (request.acks === 'all') await found.log.sync(lastOffset + 1);
    else if (request.acks === 1) await written;
    return { topic, partition, baseOffset };
  } catch (error) {
    const cause = found === undefined ? error : topics.causeOf(error, found);
    return { topic, partition, baseOffset: -1, error: LogError.toData(cause) };
  }
}

function outsideTransaction(topic: string, partition: number): LogError {
  const reason = `a batch for ${topic}-${partition} belongs to a transaction, but names none`;
  const details = { transactionalId: '', state: 'Empty', reason };
  return new LogError('INVALID_TXN_STATE', `it was refused: ${reason}`, details);
}
