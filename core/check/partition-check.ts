import { join } from 'node:path';
import { isCompacted, type LogConfig } from '../log/log-config.ts';
import {
  LOG_SUFFIX,
  offsetName,
  OFFSET_INDEX_SUFFIX,
  offsetOfName,
  SNAPSHOT_SUFFIX,
  TIME_INDEX_SUFFIX,
} from '../log/segment/file-names.ts';
import type { LeaderEpoch } from '../log/leader-epochs.ts';
import { decodeSnapshot } from '../log/producer-snapshot.ts';
import type { ProducerState } from '../log/producer-states.ts';
import { BATCH, isHole, isTransactionalBatch, type BatchHeader } from '../record/batch.ts';
import type { RecordPlace } from '../record/unpack.ts';
import { RecordCursor } from '../record/record-cursor.ts';
import { storageFailure } from '../storage/failure.ts';
import { errnoOf } from '../storage/node-fs.ts';
import { AbortedCheck } from './aborted-check.ts';
import { walkStretches, type Damage, type SoundBatch, type Stretch } from './batch-walk.ts';
import { EpochCheck } from './epoch-check.ts';
import { REPAIR, type Edit, type Finding, type Mend, type Problem } from './finding.ts';
import { hole } from './hole.ts';
import { IndexCheck } from './index-check.ts';
import type { ReadableFiles } from './left-overs.ts';
import { ProducerCheck } from './producer-check.ts';
import { checkRecords } from './record-check.ts';

/** The facts about a partition that are known before its files are read. */
export interface PartitionFacts {
  readonly fileSystem: ReadableFiles;
  readonly directory: string;
  readonly place: RecordPlace;
  readonly config: LogConfig;
  /** As recorded; default 0. */
  readonly recoveryPoint: number;
  /** As recorded beside the recovery point; they differ only after a crash or damage. */
  readonly recordedHighWatermark: number;
  /** True if the last process closed the log: then nothing may be missing. */
  readonly isClean: boolean;
  /** The epochs in `leader-epoch-checkpoint`, or its fault. */
  readonly leaderEpochs: readonly LeaderEpoch[] | 'missing' | 'damaged';
  /** As recorded; default 0. */
  readonly logStartOffset: number;
  /** True if another process is writing: then the last bytes may be incomplete. */
  readonly isLive: boolean;
  readonly nowMs: number;
  /** Reads a record of an internal topic; throws a RangeError if it does not fit its schema. */
  readonly decode?: ((cursor: RecordCursor) => void) | undefined;
}

/** The content of a partition. */
export interface PartitionCounts {
  segments: number;
  batches: number;
  records: number;
  bytes: number;
}

export interface CheckedPartition {
  readonly counts: Readonly<PartitionCounts>;
  readonly findings: readonly Finding[];
  readonly firstOffset: number;
  /** The offset after the last batch, or after the records that are lost behind it. */
  readonly nextOffset: number;
  readonly highestProducerId: number;
}

/** The state of reading one segment. */
interface SegmentWalk {
  readonly path: string;
  readonly baseOffset: number;
  /** The first offset of the next segment; Infinity for the last one. */
  readonly limit: number;
  readonly sizeBytes: number;
  readonly indexes: IndexCheck;
  /** True once the segment needs edits: other faults of its index files no longer matter. */
  isEdited: boolean;
}

/** Offsets in an index are 32-bit numbers, relative to the segment's. */
const SEGMENT_OFFSETS_MAX = 0x8000_0000;

/** Reads a whole partition and reports its faults. Changes nothing. */
export class PartitionCheck {
  readonly #facts: PartitionFacts;
  readonly #isCompacted: boolean;
  readonly #findings: Finding[] = [];
  readonly #counts: PartitionCounts = { segments: 0, batches: 0, records: 0, bytes: 0 };
  readonly #cursor: RecordCursor;
  #names: ReadonlySet<string> = new Set();
  #producers!: ProducerCheck;
  #aborted!: AbortedCheck;
  /** By offset; undefined for a damaged one. The scan removes each one as it passes it. */
  #snapshots = new Map<number, ProducerState[] | undefined>();
  #snapshotEnd = -1;
  /** The expected offset of the next batch. */
  #nextOffset = 0;
  readonly #epochs: EpochCheck;
  #firstOffset = 0;
  #unsupportedCodec: string | undefined;

  constructor(facts: PartitionFacts) {
    this.#facts = facts;
    this.#isCompacted = isCompacted(facts.config);
    this.#epochs = new EpochCheck(facts);
    this.#cursor = new RecordCursor(facts.place);
  }

  /** @throws LogError KAFKA_STORAGE_ERROR if a file cannot be read. */
  async run(): Promise<CheckedPartition> {
    const { fileSystem, directory, place, nowMs } = this.#facts;
    try {
      const entries = await fileSystem.list(directory);
      this.#names = new Set(entries.filter((entry) => !entry.isDirectory).map(({ name }) => name));
      const bases = this.#offsetsOf(LOG_SUFFIX);
      const firstOffset = (this.#firstOffset = this.#nextOffset = bases[0] ?? 0);
      const isCompacted = this.#isCompacted;
      this.#producers = new ProducerCheck({ place, isCompacted, nowMs }, firstOffset);
      this.#aborted = new AbortedCheck(this.#facts, this.#producers);
      await this.#readSnapshots();
      for (const base of bases) await this.#aborted.read(base, this.#names);
      for (const [index, base] of bases.entries()) {
        await this.#segment(base, bases[index + 1] ?? Infinity);
      }
      this.#finish();
      return {
        counts: this.#counts,
        findings: this.#findings,
        firstOffset,
        nextOffset: this.#nextOffset,
        highestProducerId: this.#producers.highestId,
      };
    } catch (cause) {
      throw storageFailure(directory, 'read', cause);
    }
  }

  #offsetsOf(suffix: string): number[] {
    const offsets = [...this.#names].map((name) => offsetOfName(name, suffix));
    return offsets.filter((offset) => offset !== undefined).sort((a, b) => a - b);
  }

  async #readSnapshots(): Promise<void> {
    for (const offset of this.#offsetsOf(SNAPSHOT_SUFFIX)) {
      const file = join(this.#facts.directory, offsetName(offset) + SNAPSHOT_SUFFIX);
      const bytes = await this.#readFile(file);
      if (bytes === undefined) continue;
      const states = decodeSnapshot(bytes);
      this.#snapshotEnd = Math.max(this.#snapshotEnd, offset);
      if (states === undefined) this.#snapshotFault(file, offset, 'its checksum does not match');
      else this.#snapshots.set(offset, states);
    }
  }

  #snapshotFault(file: string, offset: number, what: string): void {
    const meaning =
      'The next opening reads producers from an older one, or from the log. Remove it: ' + REPAIR;
    this.#add({ file, offset, what, meaning }, [{ kind: 'remove', file }]);
  }

  async #segment(baseOffset: number, limit: number): Promise<void> {
    const path = join(this.#facts.directory, offsetName(baseOffset) + LOG_SUFFIX);
    if (baseOffset < this.#nextOffset) {
      const what = `it begins at offset ${baseOffset}, but the previous segment goes further`;
      const meaning = 'One of the two was renamed or copied here: move the wrong one away.';
      this.#add({ file: path, offset: baseOffset, what, meaning });
    }
    if (baseOffset < this.#nextOffset || this.#isCompacted) this.#nextOffset = baseOffset;
    // Read the index first, so that entries which another process adds meanwhile are only missing
    // there.
    const indexes = await this.#readIndexes(baseOffset);
    const { fileSystem } = this.#facts;
    const file = await fileSystem.open(path, 'read').catch((cause: unknown) => {
      if (this.#facts.isLive && errnoOf(cause) === 'ENOENT') return undefined; // expired meanwhile
      throw cause;
    });
    if (file === undefined) return;
    try {
      const sizeBytes = await file.sizeBytes();
      const walk = { path, baseOffset, limit, sizeBytes, indexes, isEdited: false };
      this.#counts.segments++;
      this.#counts.bytes += sizeBytes;
      let held: Stretch | undefined;
      const upTo = this.#offsetEnd(walk);
      const plausible = () => ({ from: this.#nextOffset, upTo });
      for await (const stretch of walkStretches(file, sizeBytes, plausible)) {
        if (held !== undefined) this.#take(walk, held, stretch);
        held = stretch;
      }
      if (held !== undefined) this.#take(walk, held, undefined);
      this.#endSegment(walk);
    } finally {
      await file.close();
    }
  }

  async #readIndexes(baseOffset: number): Promise<IndexCheck> {
    const read = (suffix: string): Promise<Buffer | undefined> => {
      const name = offsetName(baseOffset) + suffix;
      if (!this.#names.has(name)) return Promise.resolve(undefined);
      return this.#readFile(join(this.#facts.directory, name));
    };
    const offsets = await read(OFFSET_INDEX_SUFFIX);
    return new IndexCheck(baseOffset, { offsets, times: await read(TIME_INDEX_SUFFIX) });
  }

  /** The content of a file, or undefined if another process has removed it. */
  async #readFile(path: string): Promise<Buffer | undefined> {
    return this.#facts.fileSystem.readFile(path).catch((cause: unknown) => {
      if (this.#facts.isLive && errnoOf(cause) === 'ENOENT') return undefined;
      throw cause;
    });
  }

  #take(walk: SegmentWalk, stretch: Stretch, next: Stretch | undefined): void {
    if (stretch.kind === 'damage') {
      this.#damage(walk, stretch, this.#baseBehind(walk, next));
      return;
    }
    const header = this.#place(walk, stretch, next);
    if (header === undefined) return;
    const { leaderEpoch: epoch, baseOffset: offset } = header;
    this.#epochs.push({ epoch, file: walk.path, start: stretch.start, offset });
    const checked = this.#checkBatch(stretch, header);
    if (checked === undefined) {
      this.#passSnapshots(header.baseOffset);
      walk.indexes.batch(header, stretch.start);
      this.#follow(walk, stretch, header);
      this.#counts.batches++;
      this.#counts.records += header.recordCount;
      this.#nextOffset = header.lastOffset + 1;
    } else {
      const reason = `${checked}, although the checksum is right`;
      this.#damage(walk, { ...stretch, reason }, header.lastOffset + 1);
    }
  }

  /** The offset at which sound batches continue. */
  #baseBehind(walk: SegmentWalk, next: Stretch | undefined): number | undefined {
    const { limit } = walk;
    if (next?.kind === 'batch') {
      const { baseOffset } = next.header;
      // Its offset may itself be altered.
      const isLikely = baseOffset >= this.#nextOffset && baseOffset < this.#offsetEnd(walk);
      return isLikely ? baseOffset : this.#nextOffset;
    }
    return limit === Infinity ? undefined : limit;
  }

  /**
   * The header of a batch with its correct offset, or undefined if the batch is misplaced. No
   * checksum covers its offset, but its neighbours determine it.
   */
  #place(
    walk: SegmentWalk,
    stretch: SoundBatch,
    next: Stretch | undefined,
  ): BatchHeader | undefined {
    const { header, start, end } = stretch;
    const { baseOffset } = header;
    const expected = this.#nextOffset;
    const lastOffset = expected + header.lastOffset - baseOffset;
    const isWithin = baseOffset >= expected && header.lastOffset < this.#offsetEnd(walk);
    if (this.#isCompacted && isWithin) return header;
    if (!this.#isCompacted && baseOffset === expected) return header;
    const behind = next?.kind === 'damage' ? undefined : this.#baseBehind(walk, next);
    const file = walk.path;
    const isFitting = behind === undefined ? next === undefined : lastOffset + 1 === behind;
    if (isFitting && !this.#isCompacted) {
      const replacement = Buffer.alloc(BATCH.length);
      replacement.writeBigInt64BE(BigInt(expected));
      const what = `the batch has offset ${baseOffset} instead of ${expected}`;
      const meaning = `Only the offset was altered. Correct it: ${REPAIR}`;
      this.#edit(
        walk,
        { file, positionBytes: start, offset: expected, what, meaning },
        {
          start,
          end: start + BATCH.length,
          replacement,
        },
      );
      return { ...header, baseOffset: expected, lastOffset };
    }
    if (isWithin) {
      this.#gap(walk, start, baseOffset);
      return header;
    }
    const reason = `offset ${baseOffset} where ${expected} or more belongs`;
    this.#damage(walk, { start, end, reason }, behind);
    return undefined;
  }

  /** The offsets of a segment end before this, whatever its batches claim. */
  #offsetEnd({ baseOffset, limit }: SegmentWalk): number {
    const { isClean, recoveryPoint, recordedHighWatermark } = this.#facts;
    const isEnd = limit === Infinity && isClean && recordedHighWatermark === recoveryPoint;
    return Math.min(limit, isEnd ? recoveryPoint : baseOffset + SEGMENT_OFFSETS_MAX);
  }

  /** Reports missing offsets at `position`: their batches are gone without a trace. */
  #gap(walk: SegmentWalk, position: number, upTo: number): void {
    const from = this.#nextOffset;
    const what = `the records at offsets ${from} to ${upTo - 1} are missing`;
    const meaning =
      'They are lost, unless this topic was compacted before. Fill the gap with an empty batch, ' +
      `which keeps the offsets: ${REPAIR}`;
    const replacement = this.#lose(upTo);
    const place = { file: walk.path, positionBytes: position, offset: from };
    this.#edit(walk, { ...place, what, meaning }, { start: position, end: position, replacement });
  }

  /** Reports bytes that are no batch; sound ones continue at `behind`, if known. */
  #damage(
    walk: SegmentWalk,
    { start, end, reason }: Omit<Damage, 'kind' | 'reason'> & { readonly reason: string },
    behind: number | undefined,
  ): void {
    const from = this.#nextOffset;
    const isEnd = walk.limit === Infinity && end === walk.sizeBytes;
    const { isLive, isClean } = this.#facts;
    const place = { file: walk.path, positionBytes: start, offset: from };
    const upTo = Math.max(from, behind ?? (isEnd ? this.#durableEnd : from));
    if (isEnd && upTo === from) {
      if (isLive) return; // it is being written
      const what = `the last ${end - start} bytes are no batch: ${reason}`;
      const meaning = isClean
        ? `They were whole when the log was closed, and are lost. Cut them off: ${REPAIR}`
        : 'A crash interrupted a write before its sync; the next opening cuts the bytes off.';
      const severity = isClean ? 'problem' : 'note';
      const edit = { start, end, replacement: hole(from, from) };
      this.#edit(walk, { ...place, severity, what, meaning }, edit);
    } else {
      const replacement = this.#lose(upTo);
      const lost = upTo > from ? `the records at offsets ${from} to ${upTo - 1}` : 'no record';
      const what = `${end - start} bytes are no batch: ${reason}`;
      const meaning =
        `They held ${lost}. The batches after them are sound, and readable once an ` +
        `empty batch replaces the bad bytes: ${REPAIR}`;
      this.#edit(walk, { ...place, what, meaning }, { start, end, replacement });
    }
    walk.indexes.damage(end, this.#nextOffset);
  }

  /** The least end of the log: that in the checkpoint, if another source confirms it. */
  get #durableEnd(): number {
    const { recoveryPoint, recordedHighWatermark } = this.#facts;
    const isSure = recordedHighWatermark === recoveryPoint || this.#snapshotEnd >= recoveryPoint;
    const isPossible = recoveryPoint - this.#nextOffset < SEGMENT_OFFSETS_MAX;
    return isSure && isPossible ? recoveryPoint : 0;
  }

  /** Skips lost records. Returns their replacement. */
  #lose(upTo: number): Buffer {
    const markers = this.#aborted.within(this.#nextOffset, upTo);
    const leaderEpoch = this.#epochs.epochAt(this.#nextOffset);
    const lost = markers.map(({ lastOffset, producerId }) => {
      return { offset: lastOffset, producerId, producerEpoch: this.#producers.epochOf(producerId) };
    });
    const batches = hole(this.#nextOffset, upTo, { leaderEpoch, markers: lost });
    this.#passSnapshots(this.#nextOffset);
    this.#producers.forget(upTo);
    for (const offset of this.#snapshots.keys()) if (offset <= upTo) this.#snapshots.delete(offset);
    this.#nextOffset = upTo;
    return batches;
  }

  /** The fault inside a batch, or undefined. */
  #checkBatch(stretch: SoundBatch, header: BatchHeader): string | undefined {
    const { decode } = this.#facts;
    const expected = { header, isCompacted: this.#isCompacted, decode };
    const fault = checkRecords(stretch, this.#cursor, expected);
    if (typeof fault !== 'object') return fault;
    this.#unsupportedCodec ??= fault.codec;
    return undefined;
  }

  /** Passes a sound batch to the producer check. */
  #follow(walk: SegmentWalk, { source, at, start }: SoundBatch, header: BatchHeader): void {
    if (isHole(header)) this.#producers.forget(header.lastOffset + 1);
    if (header.producerId < 0) return;
    if (header.isControl) {
      this.#cursor.open(source, at);
      this.#cursor.header = header;
      if (this.#cursor.next()) this.#producers.marker(this.#cursor);
      return;
    }
    const what = this.#producers.data(header);
    if (what === undefined) return;
    const kind = isTransactionalBatch(source.subarray(at)) ? 'transaction' : 'sequence';
    const meaning =
      `The ${kind} of its producer makes no sense here, so the writer of the log made a mistake. ` +
      'The records can be read; there is nothing to repair.';
    this.#add({
      file: walk.path,
      positionBytes: start,
      offset: header.baseOffset,
      what,
      meaning,
    });
  }

  /** Compares the snapshots up to `offset` with the log so far. */
  #passSnapshots(offset: number): void {
    for (const [at, states] of this.#snapshots) {
      if (at > offset) return;
      this.#snapshots.delete(at);
      if (at < this.#producers.knownFrom || at !== this.#nextOffset) continue;
      const what = states && this.#producers.compare(states);
      if (what === undefined) continue;
      const file = join(this.#facts.directory, offsetName(at) + SNAPSHOT_SUFFIX);
      this.#snapshotFault(file, at, what);
    }
  }

  #endSegment(walk: SegmentWalk): void {
    const { limit, sizeBytes, indexes } = walk;
    const end = limit === Infinity ? this.#durableEnd : this.#isCompacted ? 0 : limit;
    if (end > this.#nextOffset) this.#gap(walk, sizeBytes, end);
    this.#findings.push(...this.#aborted.endSegment(walk.baseOffset, this.#nextOffset));
    if (walk.isEdited) return;
    const { recoveryPoint, isClean, isLive } = this.#facts;
    const isBelow = isClean || this.#nextOffset <= recoveryPoint;
    const severity = isBelow ? 'problem' : 'note';
    const faults = indexes.faults({ mayGrow: isLive });
    for (const { suffix, positionBytes, what } of faults) {
      this.#indexFault(walk, suffix, { positionBytes, what, severity });
    }
    const isComplete = isClean || (limit !== Infinity && isBelow);
    if (faults.length > 0 || !isComplete || indexes.maxTimestampMs < 0) return;
    for (const suffix of [OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX]) {
      if (this.#names.has(offsetName(walk.baseOffset) + suffix)) continue;
      this.#indexFault(walk, suffix, { what: 'it is missing', severity });
      return;
    }
    if (indexes.indexedTimestampMs === indexes.maxTimestampMs) return;
    const what = `it ends before ${indexes.maxTimestampMs}, the newest time in its segment`;
    this.#indexFault(walk, TIME_INDEX_SUFFIX, { what, severity });
  }

  #indexFault(
    walk: SegmentWalk,
    suffix: string,
    fault: Pick<Problem, 'what' | 'severity'> & { readonly positionBytes?: number },
  ): void {
    const file = join(this.#facts.directory, offsetName(walk.baseOffset) + suffix);
    const meaning = `No record is lost. Rebuild the index from the log: ${REPAIR}`;
    this.#findings.push({ ...fault, file, meaning, mends: [this.#reindex(walk)] });
  }

  #finish(): void {
    this.#passSnapshots(this.#nextOffset);
    for (const at of this.#snapshots.keys()) {
      if (!this.#facts.isClean) continue; // a crash took its batches; the opening removes it
      const file = join(this.#facts.directory, offsetName(at) + SNAPSHOT_SUFFIX);
      this.#snapshotFault(file, at, `it is above the end of the log, ${this.#nextOffset}`);
    }
    this.#findings.push(...this.#epochs.finish(this.#firstOffset, this.#nextOffset));
    if (this.#unsupportedCodec === undefined) return;
    const what = `records are compressed with ${this.#unsupportedCodec}`;
    const meaning = 'This version cannot decode them; the batches around them are sound.';
    const { directory: file } = this.#facts;
    this.#findings.push({ severity: 'note', file, what, meaning, mends: [] });
  }

  #edit(
    walk: SegmentWalk,
    problem: Omit<Problem, 'severity'> & { readonly severity?: Problem['severity'] },
    edit: Edit,
  ): void {
    const mends: Mend[] = [{ kind: 'edit', file: walk.path, edit }];
    if (edit.replacement.length !== edit.end - edit.start) {
      walk.isEdited = true; // later bytes move
      mends.push(this.#reindex(walk));
    }
    this.#findings.push({ severity: 'problem', ...problem, mends });
  }

  #reindex({ path: file }: SegmentWalk): Mend {
    const { indexIntervalBytes: intervalBytes } = this.#facts.config;
    return { kind: 'reindex', file, intervalBytes };
  }

  #add(problem: Omit<Problem, 'severity'>, mends: readonly Mend[] = []): void {
    this.#findings.push({ severity: 'problem', ...problem, mends });
  }
}
