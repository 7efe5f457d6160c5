import { join } from 'node:path';
import { offsetName, TRANSACTION_INDEX_SUFFIX } from '../log/segment/file-names.ts';
import { isCompacted, type LogConfig } from '../log/log-config.ts';
import {
  decodeAbortedTransactions,
  encodeAbortedTransactions,
  TRANSACTION_ENTRY_BYTES,
  type AbortedTransaction,
} from '../log/segment/transaction-index.ts';
import { errnoOf } from '../storage/node-fs.ts';
import { REPAIR, type Finding } from './finding.ts';
import type { ReadableFiles } from './left-overs.ts';
import type { ProducerCheck } from './producer-check.ts';

/** The required facts about the partition. */
interface AbortedCheckFacts {
  readonly fileSystem: ReadableFiles;
  readonly directory: string;
  readonly config: LogConfig;
  readonly recoveryPoint: number;
  readonly isLive: boolean;
}

/**
 * Compares `.txnindex`, the list of aborted transactions, with the markers in the log. Recovery
 * trusts the list below the newest snapshot, and readers of committed data always trust it.
 */
export class AbortedCheck {
  readonly #facts: AbortedCheckFacts;
  readonly #producers: ProducerCheck;
  /** By the base offset of the segment; undefined if the file is damaged. */
  readonly #lists = new Map<number, AbortedTransaction[] | undefined>();

  constructor(facts: AbortedCheckFacts, producers: ProducerCheck) {
    this.#facts = facts;
    this.#producers = producers;
  }

  /** Reads the list of a segment, if it has one. */
  async read(baseOffset: number, names: ReadonlySet<string>): Promise<void> {
    const name = offsetName(baseOffset) + TRANSACTION_INDEX_SUFFIX;
    if (!names.has(name)) return;
    const { fileSystem, directory, isLive } = this.#facts;
    const read = fileSystem.readFile(join(directory, name)).catch((cause: unknown) => {
      if (isLive && errnoOf(cause) === 'ENOENT') return Buffer.alloc(0);
      throw cause;
    });
    this.#lists.set(baseOffset, decodeAbortedTransactions(await read));
  }

  /** The listed transactions whose marker is in [from, upTo), by rising marker offset. */
  within(from: number, upTo: number): AbortedTransaction[] {
    const listed = [...this.#lists.values()].flatMap((list) => list ?? []);
    return listed.filter(({ lastOffset }) => lastOffset >= from && lastOffset < upTo);
  }

  /** Checks the list of a segment that has been read up to `nextOffset`. */
  endSegment(baseOffset: number, nextOffset: number): Finding[] {
    const file = join(this.#facts.directory, offsetName(baseOffset) + TRANSACTION_INDEX_SUFFIX);
    const isListed = this.#lists.has(baseOffset);
    const list = this.#lists.get(baseOffset) ?? [];
    const found = [...this.#producers.aborted.values()].filter(
      ({ lastOffset }) => lastOffset >= baseOffset && lastOffset < nextOffset,
    );
    const wrong = list.findIndex((entry) => !this.#isTrue(entry, baseOffset, nextOffset));
    const missing = found.find(
      ({ lastOffset }) =>
        lastOffset < this.#facts.recoveryPoint &&
        !list.some((entry) => entry.lastOffset === lastOffset),
    );
    let what: string | undefined;
    if (isListed && this.#lists.get(baseOffset) === undefined) what = 'it is no such list';
    else if (wrong >= 0) what = `entry ${wrong} disagrees with the log`;
    else if (missing !== undefined) {
      const { producerId, lastOffset } = missing;
      what = `it lacks the transaction of producer ${producerId} aborted at offset ${lastOffset}`;
    }
    if (what === undefined) return [];
    const kept = list.filter((entry) => this.#isTrue(entry, baseOffset, nextOffset));
    const unlisted = found.filter(
      ({ lastOffset }) => !kept.some((entry) => entry.lastOffset === lastOffset),
    );
    const all = [...kept, ...unlisted].sort((a, b) => a.lastOffset - b.lastOffset);
    const meaning =
      'Readers of committed data may get records of aborted transactions, or miss others. ' +
      `Rebuild it from the log: ${REPAIR}`;
    const content = encodeAbortedTransactions(all);
    const mends = [{ kind: 'write', file, content }] as const;
    const place = wrong < 0 ? {} : { positionBytes: wrong * TRANSACTION_ENTRY_BYTES };
    return [{ severity: 'problem', file, ...place, what, meaning, mends }];
  }

  #isTrue(entry: AbortedTransaction, baseOffset: number, nextOffset: number): boolean {
    const { producerId, firstOffset, lastOffset, lastStableOffset } = entry;
    if (lastOffset < baseOffset) return false;
    // The tail that it came from is gone; recovery drops the entry.
    if (lastOffset >= nextOffset) return lastOffset >= this.#facts.recoveryPoint;
    if (lastStableOffset < 0 || lastStableOffset > lastOffset + 1) return false;
    const told = this.#producers.aborted.get(lastOffset);
    // Compaction removes the records of aborted transactions first, and their markers later.
    if (isCompacted(this.#facts.config)) {
      return (
        told === undefined || (told.producerId === producerId && told.firstOffset >= firstOffset)
      );
    }
    const { knownFrom } = this.#producers;
    if (told === undefined) {
      const isLate = this.#producers.lateAborts.get(lastOffset) === producerId;
      return firstOffset < knownFrom && (isLate || lastOffset < knownFrom);
    }
    if (told.producerId !== producerId) return false;
    if (told.firstOffset !== firstOffset && firstOffset >= knownFrom) return false;
    // The log tells nothing about a transaction that began before the first record.
    if (knownFrom > 0) return lastStableOffset <= told.lastStableOffset;
    return told.lastStableOffset === lastStableOffset;
  }
}
