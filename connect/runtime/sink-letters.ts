import {
  LogError,
  type CommittedOffset,
  type Log,
  type Producer,
  type Topic,
  type TopicPartition,
  type TopicWriter,
} from '../../core/index.ts';
import { LETTER_BYTES_MAX, OffsetSet, present } from '../../core/internal.ts';
import type { SinkOffset } from '../connector.ts';
import { letterFailed } from './source-writer.ts';
import type { Letter } from './tolerance.ts';

interface SinkLettersOptions {
  readonly log: Log;
  readonly connector: string;
  /** Keeps what has a dead letter; the sink's own group keeps what is in the output. */
  readonly groupId: string;
  readonly topic: Topic<Uint8Array, Uint8Array>;
}

/**
 * A commit is due when so many stretches of offsets have dead letters: the metadata of a committed
 * offset, in which they stand, takes 4 KiB.
 */
const STRETCHES_MAX = 50;
/** A commit is due when so much waits in memory. */
const WAITING_BYTES_MAX = 8 * 1024 * 1024;

/** No offset is below it: the set holds what was added, and no more. */
const NOTHING = -1;

/** The records of a partition that have their letters, behind the end of the output. */
interface PartitionLetters {
  readonly topic: string;
  readonly partition: number;
  /** Changes with each commit of the output. */
  outputOffset: number;
  /** Grows with each commit of letters, until the output has them behind it. */
  readonly written: OffsetSet;
}

/** How long a letter that cannot be written is tried, as on a full disk: see source-run.ts. */
const DELIVERY_MS_MAX = 10_000;

interface WaitingLetter {
  readonly letter: Letter;
  readonly partition: PartitionLetters;
  readonly offset: number;
}

/**
 * Writes the dead letters of a sink, each once [CONNECT-ERRORS-4].
 *
 * Output and log have no common transaction. So the letters of a commit are written before the
 * output is, in one transaction with the offsets of their records, which the group of these letters
 * keeps. After a crash between the two the sink reads the records again, and finds that they have
 * their letters.
 */
export class SinkLetters {
  readonly #options: SinkLettersOptions;
  readonly #producer: Producer;
  readonly #partitions = new Map<string, PartitionLetters>();
  #writer: TopicWriter<Uint8Array, Uint8Array> | undefined;
  #waiting: WaitingLetter[] = [];
  #waitingBytes = 0;

  constructor(options: SinkLettersOptions) {
    const { log, groupId } = options;
    this.#options = options;
    this.#producer = log.producer({
      transactionalId: groupId,
      maxRequestSize: LETTER_BYTES_MAX,
      deliveryTimeoutMs: DELIVERY_MS_MAX,
    });
  }

  /**
   * Finds out what has its letter. Fences an earlier run, whose letters are then all there, or not
   * at all.
   *
   * @param starts where the sink begins to read.
   */
  async open(starts: readonly SinkOffset[]): Promise<void> {
    const { log, groupId, topic } = this.#options;
    this.#writer = await this.#producer.writer(topic);
    await this.#producer.initTransactions();
    const { offsets } = await log.api.offsetFetch({ groupId, requireStable: true });
    for (const start of starts) {
      const known = offsets.find(({ topic, partition }) => {
        return topic === start.topic && partition === start.partition;
      });
      if (known?.error !== undefined) throw LogError.fromData(known.error);
      const { topic: name, partition, offset } = start;
      // An output that was set back is another one: what fails has a letter of its own there.
      const isKnown = known !== undefined && known.offset >= 0 && known.offset <= offset;
      const written = isKnown ? OffsetSet.decode(NOTHING, known.metadata) : new OffsetSet(NOTHING);
      written.removeBelow(offset);
      this.#partitions.set(keyOf(start), { topic: name, partition, outputOffset: offset, written });
    }
  }

  /** True if a commit should come soon. */
  get isDue(): boolean {
    if (this.#waitingBytes >= WAITING_BYTES_MAX) return true;
    return this.#waiting.length + this.#stretches >= STRETCHES_MAX;
  }

  /**
   * True if what is remembered leaves no room for more: all that was read has to be in the output
   * for good.
   */
  get isFull(): boolean {
    return this.#stretches >= STRETCHES_MAX;
  }

  /** The most that is remembered of a partition. */
  get #stretches(): number {
    let most = 0;
    for (const { written } of this.#partitions.values()) most = Math.max(most, written.stretches);
    return most;
  }

  /** True if letters wait for `commit`. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Takes the letter of a record; false if it has one already. */
  add(place: SinkOffset, letter: Letter): boolean {
    const { offset } = place;
    const partition = present(this.#partitions.get(keyOf(place)), 'it reads what is assigned');
    if (partition.written.has(offset)) return false;
    this.#waiting.push({ letter, partition, offset });
    this.#waitingBytes += (letter.key?.length ?? 0) + (letter.value?.length ?? 0);
    return true;
  }

  /**
   * Writes what waits, durably, with what has its letter from then on.
   *
   * @throws LogError, ConnectError DEAD_LETTER_FAILED: nothing was written.
   */
  async commit(): Promise<void> {
    const { groupId, connector, topic } = this.#options;
    const waiting = this.#waiting;
    const writer = present(this.#writer, 'it is open');
    await this.#producer.transaction(async (transaction) => {
      for (const { letter } of waiting) {
        const { key, value, timestampMs, headers } = letter;
        try {
          writer.write(key, value, timestampMs, headers);
        } catch (cause) {
          throw letterFailed(connector, topic.name, cause);
        }
        if (this.#producer.isFull) await this.#producer.room();
      }
      for (const { partition, offset } of waiting) partition.written.add(offset);
      const changed = new Set(waiting.map(({ partition }) => partition));
      await transaction.sendOffsets(Array.from(changed, committedOf), groupId);
    });
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /**
   * Called when the output has everything up to these offsets for good. Records behind them may
   * have been read, and are read again after a crash: a sink may hold them back.
   */
  outputCommitted(offsets: readonly SinkOffset[]): void {
    for (const place of offsets) {
      const partition = this.#partitions.get(keyOf(place));
      if (partition === undefined) continue;
      partition.outputOffset = place.offset;
      partition.written.removeBelow(place.offset);
    }
  }

  /** Ends the producer. */
  close(): Promise<void> {
    return this.#producer.close();
  }
}

/** What is remembered of a partition: where its output ends, and what has a letter behind that. */
function committedOf({
  topic,
  partition,
  outputOffset,
  written,
}: PartitionLetters): CommittedOffset {
  return { topic, partition, offset: outputOffset, metadata: written.encode() };
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
