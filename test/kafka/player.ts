import { createInterface } from 'node:readline';
import type { ChildProcess } from 'node:child_process';
import type { CommittedOffset, IsolationLevel, ProducerIdentity, TopicPartition } from 'millrace';
import { present } from '../../core/assert.ts';
import type { PlainRecord, RecordToWrite } from '../../core/record/records.suite.ts';
import { startJava, stopJava, TEST_JAVA } from './java.ts';

/** A record to send; bytes are text, one character per byte. */
export type RecordToSend = Required<RecordToWrite>;

interface Place {
  readonly topic: string;
  readonly partition: number;
}

/**
 * A client's action, in a form that Millrace (`log-player.ts`) and Kafka (`Play.java`) both
 * perform. A `send` is one batch. A transactional producer's name is its transactional id.
 */
export type Step =
  | {
      readonly do: 'topic';
      readonly topic: string;
      readonly partitions: number;
      readonly config: Readonly<Record<string, string>>;
    }
  | {
      readonly do: 'producer';
      readonly producer: string;
      readonly codec: string;
      readonly isIdempotent: boolean;
      readonly isTransactional: boolean;
    }
  | ({
      readonly do: 'send';
      readonly producer: string;
      readonly records: readonly RecordToSend[];
    } & Place)
  | { readonly do: 'begin' | 'commit' | 'abort'; readonly producer: string }
  | ({
      readonly do: 'offset';
      /** In the transaction of this producer, or undefined. */
      readonly producer?: string;
      readonly group: string;
      readonly offset: number;
      readonly metadata: string;
    } & Place)
  | {
      readonly do: 'consume';
      readonly group: string;
      readonly topic: string;
      readonly protocol: 'classic' | 'consumer';
      /** False for a member that still exists when the broker ends. */
      readonly leaves: boolean;
    }
  | ({ readonly do: 'delete'; readonly offset: number } & Place);

export interface Player {
  /** Returns the offsets of the sent records, or a consumer's position in each partition. */
  perform(step: Step): Promise<readonly number[]>;
}

/** A batch that Kafka's own code builds. */
export interface EncodeRequest {
  readonly codec: string;
  readonly baseOffset: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly isTransactional: boolean;
  readonly records: readonly RecordToSend[];
}

/** A batch of a `.log` as Kafka reads it. */
export interface ReadBatch {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly codec: string;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly isTransactional: boolean;
  readonly isControl: boolean;
  readonly control?: string;
  readonly maxTimestampMs: number;
  readonly sizeBytes: number;
  readonly records: readonly PlainRecord[];
}

/** A member of a group as its assignor sees it. */
export interface KafkaMember {
  readonly assignor: string;
  readonly topics: readonly string[];
  /** Its partitions, and their generation; -1 if it never had any. */
  readonly partitions: readonly TopicPartition[];
  readonly generation: number;
  readonly rack: string | null;
}

/** Members by id, with their subscriptions as bytes, one character per byte. */
export interface AssignRequest {
  readonly assignor: string;
  readonly members: Readonly<
    Record<string, { readonly subscription: string; readonly groupInstanceId?: string }>
  >;
  readonly partitions: Readonly<Record<string, number>>;
}

/** Kafka's own code, and its clients if there is a broker. */
export class KafkaPlayer implements Player {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();

  /** @param bootstrap address of a broker; without it only the steps that need none work. */
  constructor(bootstrap = '') {
    const output = { stdout: 'pipe', stderr: 'inherit' } as const;
    this.#process = startJava(TEST_JAVA, 'Play.java', bootstrap, output);
    const lines = createInterface({ input: present(this.#process.stdout, 'stdout is a pipe') });
    this.#answers = lines[Symbol.asyncIterator]();
  }

  async perform(step: Step): Promise<readonly number[]> {
    return ((await this.#ask(step)) as { offsets?: number[] }).offsets ?? [];
  }

  async encode(request: EncodeRequest): Promise<Buffer> {
    const { bytes } = (await this.#ask({ do: 'encode', ...request })) as { bytes: string };
    return Buffer.from(bytes, 'latin1');
  }

  async read(file: string): Promise<readonly ReadBatch[]> {
    return ((await this.#ask({ do: 'read', file })) as { batches: ReadBatch[] }).batches;
  }

  async partitions(
    keys: readonly string[],
    partitions: number,
  ): Promise<{ readonly hashes: readonly number[]; readonly partitions: readonly number[] }> {
    const answer = await this.#ask({ do: 'partitions', keys, partitions });
    return answer as { hashes: number[]; partitions: number[] };
  }

  /** A member's subscription and assignment, in the bytes of Kafka's clients. */
  async member(
    member: KafkaMember,
  ): Promise<{ readonly subscription: Buffer; readonly assignment: Buffer }> {
    const answer = await this.#ask({ do: 'member', ...member });
    const { subscription, assignment } = answer as { subscription: string; assignment: string };
    return {
      subscription: Buffer.from(subscription, 'latin1'),
      assignment: Buffer.from(assignment, 'latin1'),
    };
  }

  /** The partitions that Kafka's assignor gives to each member. */
  async assign(request: AssignRequest): Promise<Readonly<Record<string, TopicPartition[]>>> {
    const answer = await this.#ask({ do: 'assign', ...request });
    return (answer as { assigned: Record<string, TopicPartition[]> }).assigned;
  }

  /** All records of a partition that Kafka's consumer gets. */
  async fetch(place: Place, isolationLevel: IsolationLevel): Promise<readonly PlainRecord[]> {
    const answer = await this.#ask({ do: 'fetch', ...place, isolationLevel });
    return (answer as { records: PlainRecord[] }).records;
  }

  /** A group's committed offsets, partition by partition. */
  async committed(group: string): Promise<readonly CommittedOffset[]> {
    return ((await this.#ask({ do: 'committed', group })) as { offsets: CommittedOffset[] })
      .offsets;
  }

  /** The producer with a transactional id, as the broker knows it. */
  async transaction(transactionalId: string): Promise<ProducerIdentity> {
    return (await this.#ask({ do: 'transaction', producer: transactionalId })) as ProducerIdentity;
  }

  /** Ends it as a crash would: aborts no transaction, leaves no group. */
  kill(): Promise<void> {
    return stopJava(this.#process, 'SIGKILL');
  }

  /** One request at a time. */
  #ask(request: object): Promise<unknown> {
    const asked = this.#last.then(async () => {
      this.#process.stdin?.write(`${JSON.stringify(request)}\n`);
      const line: IteratorResult<string, unknown> = await this.#answers.next();
      if (line.done === true) throw new TypeError('Play.java has ended');
      const answer = JSON.parse(line.value) as { error?: string };
      if (answer.error !== undefined) {
        throw new TypeError(`Kafka: ${answer.error} at ${JSON.stringify(request)}`);
      }
      return answer;
    });
    this.#last = asked.catch(() => undefined);
    return asked;
  }
}
