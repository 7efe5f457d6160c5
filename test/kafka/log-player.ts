import { bytes, topic, type Codec, type Log, type Producer, type Transaction } from 'millrace';
import { present, unreachable } from '../../core/assert.ts';
import type { Player, RecordToSend, Step } from './player.ts';

type Send = Extract<Step, { do: 'send' }>;
type Consume = Extract<Step, { do: 'consume' }>;
type CommitOffset = Extract<Step, { do: 'offset' }>;

/** Performs steps on our log, through its public API. */
export class LogPlayer implements Player {
  readonly #log: Log;
  readonly #producers = new Map<string, Producer>();
  readonly #transactions = new Map<string, Transaction>();

  constructor(log: Log) {
    this.#log = log;
  }

  async perform(step: Step): Promise<readonly number[]> {
    switch (step.do) {
      case 'topic': {
        const { partitions, config } = step;
        const topics = [{ topic: step.topic, partitions, config }];
        const { results } = await this.#log.api.createTopics({ topics });
        if (results[0]?.error !== undefined) throw new TypeError(results[0].error.message);
        return [];
      }
      case 'producer':
        this.#open(step);
        return [];
      case 'begin': {
        const producer = this.#producer(step.producer);
        this.#transactions.set(step.producer, await producer.beginTransaction());
        return [];
      }
      case 'send':
        return this.#send(step);
      case 'offset':
        await this.#commitOffset(step);
        return [];
      case 'commit':
        await this.#end(step.producer).commit();
        return [];
      case 'abort':
        await this.#end(step.producer).abort();
        return [];
      case 'consume':
        return this.#consume(step);
      case 'delete':
        await this.#log.admin().deleteRecords([step]);
        return [];
      default:
        return unreachable(step);
    }
  }

  #open(step: Extract<Step, { do: 'producer' }>): void {
    const producer = this.#log.producer({
      compressionType: step.codec as Codec,
      enableIdempotence: step.isIdempotent,
      batchSize: 1_000_000,
      lingerMs: 60_000, // `flush` sends: a step is a batch
      ...(step.isTransactional && { transactionalId: step.producer }),
    });
    this.#producers.set(step.producer, producer);
  }

  async #send({ producer: name, topic: topicName, partition, records }: Send): Promise<number[]> {
    const handle = topic(topicName, { key: bytes(), value: bytes() });
    const before = present((await this.#log.admin().offsets(topicName))[partition], 'it exists');
    const sent = records.map((record) => ({ ...toRecord(record), partition }));
    const producer = this.#producer(name);
    const transaction = this.#transactions.get(name);
    if (transaction === undefined) {
      const answers = sent.map((record) => producer.send(handle, record));
      await producer.flush();
      return (await Promise.all(answers)).map(({ offset }) => offset);
    }
    await transaction.sendAll(handle, sent);
    await producer.flush();
    return sent.map((_, index) => before.latest + index);
  }

  async #commitOffset(step: CommitOffset): Promise<void> {
    const { group, topic: topicName, partition, offset, metadata } = step;
    const offsets = [{ topic: topicName, partition, offset, metadata }];
    if (step.producer !== undefined) {
      await present(this.#transactions.get(step.producer), 'it began').sendOffsets(offsets, group);
      return;
    }
    await using consumer = this.#log.consumer({ groupId: group, enableAutoCommit: false });
    await consumer.commit(offsets);
  }

  async #consume({ group, topic: topicName }: Consume): Promise<number[]> {
    const handle = topic(topicName, { key: bytes(), value: bytes() });
    await using consumer = this.#log.consumer({
      groupId: group,
      isolationLevel: 'read_committed',
      enableAutoCommit: false,
    });
    const { partitions } = await this.#log.api.listOffsets({
      isolationLevel: 'read_committed',
      partitions: (await this.#log.admin().offsets(topicName)).map(({ partition }) => {
        return { topic: topicName, partition, spec: 'latest' };
      }),
    });
    const subscribed = consumer.subscribe([handle]);
    const isAtEnd = (): boolean =>
      partitions.every((place) => (subscribed.position(place) ?? -1) >= place.offset);
    while (!isAtEnd()) await subscribed.poll({ maxWaitMs: 50 });
    await subscribed.commit();
    return partitions.map((place) => subscribed.position(place) ?? -1);
  }

  #producer(name: string): Producer {
    return present(this.#producers.get(name), `producer ${name} was opened`);
  }

  #end(name: string): Transaction {
    const transaction = present(this.#transactions.get(name), `${name} has begun`);
    this.#transactions.delete(name);
    return transaction;
  }
}

function toRecord({ key, value, headers, timestampMs }: RecordToSend) {
  return {
    key: toBytes(key),
    value: toBytes(value),
    timestampMs,
    headers: headers.map(([name, header]) => ({ key: name, value: toBytes(header) })),
  };
}

function toBytes(text: string | null): Buffer | null {
  return text === null ? null : Buffer.from(text, 'latin1');
}
