import { LogError } from '../../errors.ts';
import { callback, checkArgument, checkOptions, flag, integer, text } from '../../options.ts';
import type { CommittedOffset } from '../../protocol/broker-api.ts';
import { bytes } from '../../serde/binary.ts';
import type { Log } from '../log.ts';
import { offsetsOf } from '../partition-offsets.ts';
import type { Producer } from '../producer/producer.ts';
import type { Transaction } from '../producer/transaction.ts';
import { topic as topicHandle, type Topic } from '../topic.ts';
import { LETTER_BYTES_MAX, parseDeadLetter, type DeadLetter } from './dead-letter.ts';
import { OffsetSet } from './offset-set.ts';

/** Which dead letters to replay, and how. */
export interface ReplayOptions {
  /** The group whose committed position tells what was replayed. Default: `<topic>-replay`. */
  readonly groupId?: string;
  /** Only those of the node, or of the connector, with this name. Default: of all. */
  readonly node?: string;
  /** Only those with this error: its code, or its class. Default: with any error. */
  readonly error?: string;
  /** Only those from this offset on, in each partition. Default: 0. */
  readonly from?: number;
  /** Only those up to this offset, included. Default: all that there are at the start. */
  readonly to?: number;
  /** Sends nothing. Default: false. */
  readonly dryRun?: boolean;
  /** Called with each dead letter that is replayed, or would be. Default: none. */
  readonly onLetter?: (letter: PlacedLetter) => void;
  /** Called with each that cannot be replayed, and why. Default: none. */
  readonly onLeftOut?: (letter: PlacedLetter, reason: string) => void;
}

/** A dead letter, and where it is. */
export interface PlacedLetter extends DeadLetter {
  readonly partition: number;
  readonly offset: number;
}

/** What a replay has done. */
export interface Replay {
  /** Sent back to where they came from; with `dryRun` those that would be. */
  readonly replayed: number;
  /** Chosen, but replayed before. */
  readonly replayedBefore: number;
  /** Chosen, but they cannot be replayed: they stay. */
  readonly leftOut: number;
}

const CHECKS = {
  groupId: text,
  node: text,
  error: text,
  from: integer(0),
  to: integer(0),
  dryRun: flag,
  onLetter: callback,
  onLeftOut: callback,
};

const RAW = { key: bytes(), value: bytes() };
/** Records of one transaction at most. */
const BATCH_LETTERS = 500;
const MAX_WAIT_MS = 500;

/**
 * Sends dead letters back to the topics and partitions that they came from: key, value, time and
 * headers as they were read, without those of the error. Each is sent once, however often this is
 * called, and whatever happens to the process meanwhile: the committed position of `groupId`
 * changes in the same transaction. Dead letters stay where they are. One replay of a group at a
 * time: another one fences it.
 *
 * @throws LogError UNKNOWN_TOPIC_OR_PARTITION if there is no such topic, UNKNOWN_OPTION,
 *   INVALID_OPTION; OFFSET_METADATA_TOO_LARGE if what is replayed has too many gaps: choose fewer
 *   at a time, or all up to an offset. What was committed before stays so.
 */
export async function replayDeadLetters(
  log: Log,
  topic: string,
  options: ReplayOptions = {},
): Promise<Replay> {
  checkArgument('replayDeadLetters', 'topic', topic, text);
  checkOptions('replayDeadLetters', options, CHECKS);
  const { groupId = `${topic}-replay` } = options;
  const partitions = await partitionsOf(log, topic);
  if (partitions === undefined) {
    const message = `there is no topic ${topic}`;
    throw new LogError('UNKNOWN_TOPIC_OR_PARTITION', message, { topic });
  }
  await using producer = log.producer({
    transactionalId: groupId,
    maxRequestSize: LETTER_BYTES_MAX, // what can be written as a dead letter
  });
  // Fences another replay, and ends what it left open: the position is final then.
  if (options.dryRun !== true) await producer.initTransactions();
  const replaying = new Replaying({ log, topic, groupId, producer, options });
  for (let partition = 0; partition < partitions; partition++) await replaying.run(partition);
  const { replayed, replayedBefore, leftOut } = replaying;
  return { replayed, replayedBefore, leftOut };
}

class Replaying {
  replayed = 0;
  replayedBefore = 0;
  leftOut = 0;
  readonly #log: Log;
  readonly #topic: string;
  readonly #groupId: string;
  readonly #producer: Producer;
  readonly #options: ReplayOptions;
  /** The partitions of the topics that letters came from; undefined for one that is gone. */
  readonly #targets = new Map<string, number | undefined>();

  constructor(parts: {
    readonly log: Log;
    readonly topic: string;
    readonly groupId: string;
    readonly producer: Producer;
    readonly options: ReplayOptions;
  }) {
    this.#log = parts.log;
    this.#topic = parts.topic;
    this.#groupId = parts.groupId;
    this.#producer = parts.producer;
    this.#options = parts.options;
  }

  /** Replays the letters of one partition that are there now. */
  async run(partition: number): Promise<void> {
    const { from = 0, to = Infinity } = this.#options;
    const place = { topic: this.#topic, partition };
    const done = await this.#done(partition);
    const { earliest, latest } = await offsetsOf(this.#log, this.#topic, partition);
    done.add(0, earliest); // what is gone
    const end = Math.min(latest, to + 1);
    const start = Math.max(earliest, from);
    if (start >= end) return;
    const isolationLevel = 'read_committed';
    await using consumer = this.#log.consumer({ isolationLevel, maxPollRecords: BATCH_LETTERS });
    const handle = topicHandle(this.#topic, RAW);
    const assigned = await consumer.assign([{ topic: handle, partition, offset: start }]);
    let nextOffset = start;
    while ((assigned.position(place) ?? end) < end) {
      const records = await assigned.poll({ maxWaitMs: MAX_WAIT_MS });
      const letters: PlacedLetter[] = [];
      for (const record of records) {
        if (record.offset >= end) break;
        // Between two dead letters there are only markers: without them stretches grow together.
        if (record.offset > nextOffset) done.add(nextOffset, record.offset);
        nextOffset = record.offset + 1;
        letters.push({ ...parseDeadLetter(record), partition, offset: record.offset });
      }
      const chosen = await this.#choose(letters, done);
      if (chosen.length > 0) await this.#send(chosen, partition, done);
    }
  }

  /** Those that are to be sent. */
  async #choose(letters: readonly PlacedLetter[], done: OffsetSet): Promise<PlacedLetter[]> {
    const { node, error, onLeftOut } = this.#options;
    const chosen: PlacedLetter[] = [];
    for (const letter of letters) {
      if (node !== undefined && letter.node !== node) continue;
      if (error !== undefined && letter.error !== error && letter.code !== error) continue;
      if (done.has(letter.offset)) {
        this.replayedBefore++;
        continue;
      }
      const reason = await this.#reasonToLeaveOut(letter);
      if (reason === undefined) {
        chosen.push(letter);
        continue;
      }
      this.leftOut++;
      onLeftOut?.(letter, reason);
    }
    return chosen;
  }

  async #reasonToLeaveOut({ source, place, record }: PlacedLetter): Promise<string | undefined> {
    if (source === undefined && place !== undefined) {
      return `it was read at ${place}, and not from a topic: mend it there`;
    }
    if (source === undefined) return 'it comes of no single record';
    if (record !== undefined) return 'its bytes were not at hand when it failed';
    const { topic, partition } = source;
    if (!this.#targets.has(topic)) {
      this.#targets.set(topic, await partitionsOf(this.#log, topic));
    }
    const partitions = this.#targets.get(topic);
    if (partitions === undefined) return `topic ${topic} is gone`;
    return partition < partitions ? undefined : `topic ${topic} has no partition ${partition}`;
  }

  /** Sends letters, and notes them as done, in one transaction. */
  async #send(letters: readonly PlacedLetter[], partition: number, done: OffsetSet): Promise<void> {
    const { onLetter, dryRun = false } = this.#options;
    for (const { offset } of letters) done.add(offset);
    if (!dryRun) {
      await this.#producer.transaction(async (transaction) => {
        await writeBack(transaction, letters);
        const offsets = [committedOf(this.#topic, partition, done)];
        await transaction.sendOffsets(offsets, this.#groupId);
      });
    }
    this.replayed += letters.length;
    for (const letter of letters) onLetter?.(letter);
  }

  /** What was replayed before. */
  async #done(partition: number): Promise<OffsetSet> {
    const partitions = [{ topic: this.#topic, partition }];
    const request = { groupId: this.#groupId, partitions, requireStable: true };
    const { offsets } = await this.#log.api.offsetFetch(request);
    const [found] = offsets;
    if (found?.error !== undefined) throw LogError.fromData(found.error);
    if (found === undefined || found.offset < 0) return new OffsetSet(0);
    return OffsetSet.decode(found.offset, found.metadata);
  }
}

async function writeBack(
  transaction: Transaction,
  letters: readonly PlacedLetter[],
): Promise<void> {
  const handles = new Map<string, Topic<Uint8Array, Uint8Array>>();
  for (const { key, value, timestampMs, headers, source } of letters) {
    if (source === undefined) continue; // they were left out
    const { topic, partition } = source;
    const handle = handles.get(topic) ?? topicHandle(topic, RAW);
    handles.set(topic, handle);
    const writer = await transaction.writer(handle);
    writer.write(key, value, timestampMs, headers, partition);
  }
}

function committedOf(topic: string, partition: number, done: OffsetSet): CommittedOffset {
  return { topic, partition, offset: done.below, metadata: done.encode() };
}

/** The number of a topic's partitions; undefined if there is no such topic. */
async function partitionsOf(log: Log, topic: string): Promise<number | undefined> {
  const [found] = (await log.api.metadata({ topics: [topic] })).topics;
  return found === undefined || found.error !== undefined ? undefined : found.partitions;
}
