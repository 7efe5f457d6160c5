import type { Clock } from '../clock.ts';
import { LogError } from '../errors.ts';
import { foundOf, outcomeOf } from '../protocol/answer-errors.ts';
import type { RequestHandlers } from '../protocol/exchange.ts';
import type { PartitionError, TopicPartition } from '../protocol/topic-partition.ts';
import type { TransactionRequests } from '../protocol/transaction-requests.ts';
import {
  abortHanging,
  describeProducersOf,
  describeTransaction,
  isListed,
  listingOf,
} from './describe-transactions.ts';
import type { GroupCoordinator } from './group-coordinator.ts';
import type { OffsetStore } from './offset-store.ts';
import type { Topics } from './topics.ts';
import type { TransactionCoordinator } from './transaction-coordinator.ts';

export interface TransactionEnvironment {
  readonly topics: Topics;
  readonly offsets: OffsetStore;
  readonly groups: GroupCoordinator;
  readonly transactions: TransactionCoordinator;
  readonly clock: Clock;
}

/** Answers requests of producers with an identity, and those that look after transactions. */
export function transactionRequests(
  environment: TransactionEnvironment,
): RequestHandlers<TransactionRequests> {
  const { topics, offsets, groups, transactions, clock } = environment;
  return {
    initProducerId: (request) => transactions.initProducerId(request),
    addPartitionsToTxn: async (request) => {
      const { partitions } = request;
      try {
        await transactions.addPartitions(request, partitions);
        return { results: partitions.map(({ topic, partition }) => ({ topic, partition })) };
      } catch (cause) {
        if (!LogError.is(cause, 'UNKNOWN_TOPIC_OR_PARTITION')) throw cause;
        return { results: await Promise.all(partitions.map((each) => notAdded(topics, each))) };
      }
    },
    addOffsetsToTxn: async (request) => {
      const partition = await offsets.partitionOf(request.groupId);
      await transactions.addPartitions(request, [partition]);
    },
    txnOffsetCommit: async (request) => {
      const { topic, partition } = await offsets.partitionOf(request.groupId);
      const mayCommit = (): void => {
        groups.checkCommit(request);
        transactions.verify(request, topic, partition);
      };
      mayCommit();
      const { groupId } = request;
      const results = offsets.commitInTransaction(groupId, request.offsets, request, mayCommit);
      return { results: await results };
    },
    endTxn: (request) => transactions.endTransaction(request),

    listTransactions: async (request) => {
      const nowMs = clock.nowMs();
      const listed = [...transactions.all()].filter((each) => isListed(each, request, nowMs));
      return { transactions: listed.map(listingOf) };
    },
    describeTransactions: async (request) => {
      const all = new Map([...transactions.all()].map((each) => [each.transactionalId, each]));
      const described = request.transactionalIds.map((id) => describeTransaction(id, all.get(id)));
      return { transactions: described };
    },
    describeProducers: async (request) => {
      const described = request.partitions.map((place) =>
        foundOf(place, { producers: [] }, () => {
          return { producers: describeProducersOf(topics.partition(place).log) };
        }),
      );
      return { partitions: await Promise.all(described) };
    },
    writeTxnMarkers: async (request) => {
      const results = request.markers.flatMap(({ partitions, ...producer }) =>
        partitions.map(({ topic, partition }) =>
          outcomeOf({ topic, partition, producerId: producer.producerId }, () =>
            abortHanging(environment, producer, { topic, partition }),
          ),
        ),
      );
      return { results: await Promise.all(results) };
    },
  };
}

/** Why a partition was not added to a transaction: another one of the request does not exist. */
function notAdded(topics: Topics, { topic, partition }: TopicPartition): Promise<PartitionError> {
  return foundOf({ topic, partition }, {}, () => {
    topics.partition({ topic, partition });
    const reason = 'another partition of the request does not exist';
    const message = `${topic}-${partition} was not added to the transaction: ${reason}`;
    throw new LogError('OPERATION_NOT_ATTEMPTED', message, { reason });
  });
}
