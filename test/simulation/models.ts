import { expect } from 'vitest';
import type { ConsumerRecord } from '../../core/index.ts';
import { DELETE_RETENTION_MS, RETENTION_MS } from './topics.ts';

/** How a life ends: in order, by the death of the process, or by that of the machine. */
export type Ending = 'close' | 'kill' | 'power cut';

type Records<V> = readonly ConsumerRecord<string, V>[];

/** What an opening finds after a life. */
export interface Found<V> {
  readonly records: Records<V>;
  /** The previous life's ending. */
  readonly ending: Ending;
  readonly nowMs: number;
}

/**
 * A partition that is written with acks 1 and all. A kill keeps all acknowledged records; a power
 * cut keeps a prefix of them without a gap, which includes all that were acknowledged with acks
 * all.
 */
class FastModel {
  /** Value by offset, as acknowledged or read. */
  readonly #values = new Map<number, string>();
  readonly #sent = new Set<string>();
  readonly #gone = new Set<string>();
  #durableOffset = 0;

  sending(value: string): void {
    this.#sent.add(value);
  }

  acknowledged(offset: number, value: string, isDurable: boolean): void {
    expect(this.#values.get(offset) ?? value).toBe(value);
    this.#values.set(offset, value);
    if (isDurable) this.#durableOffset = Math.max(this.#durableOffset, offset + 1);
  }

  audit({ records, ending }: Found<string>): void {
    expect(records.map(({ offset }) => offset)).toEqual(records.map((_, index) => index));
    expect(records.length).toBeGreaterThanOrEqual(this.#durableOffset);
    for (const [offset, value] of this.#values) {
      const found = records[offset]?.value ?? undefined;
      if (found === undefined && ending === 'power cut') this.#gone.add(value);
      else expect({ offset, found }).toEqual({ offset, found: value });
    }
    const values = records.map(({ value }) => value ?? '');
    expect(new Set(values).size).toBe(values.length);
    for (const value of values) {
      expect({ value, isSent: this.#sent.has(value), isGone: this.#gone.has(value) }).toEqual({
        value,
        isSent: true,
        isGone: false,
      });
    }
    this.#values.clear();
    for (const { offset, value } of records) this.#values.set(offset, value ?? '');
    // Records that are on the disk after a power cut or a close are durable.
    if (ending !== 'kill') this.#durableOffset = records.length;
  }
}

/** `ok`: counts. `failed`: does not. `unknown`: either. */
export type WriteState = 'ok' | 'failed' | 'unknown';

export interface KeyWrite {
  /** Increases with each write to the key; null for a tombstone. */
  readonly value: number | null;
  state: WriteState;
  readonly atMs: number;
}

/** A compacted topic with one writer per key: the newest write of each key stays. */
class TableModel {
  readonly #writes = new Map<string, KeyWrite[]>();
  #count = 0;

  /** The next write of a key; its state is set when it is known. */
  writing(key: string, isTombstone: boolean, atMs: number): KeyWrite {
    const write: KeyWrite = { value: isTombstone ? null : ++this.#count, state: 'unknown', atMs };
    const writes = this.#writes.get(key) ?? [];
    this.#writes.set(key, writes);
    writes.push(write);
    return write;
  }

  audit({ records, nowMs }: Found<number>): void {
    const found = new Map<string, (number | null)[]>();
    for (const { key, value } of records) {
      const values = found.get(key ?? '') ?? [];
      found.set(key ?? '', values);
      values.push(value);
    }
    for (const [key, writes] of this.#writes) this.#auditKey(key, writes, found, nowMs);
    for (const key of found.keys()) expect([...this.#writes.keys()]).toContain(key);
  }

  #auditKey(
    key: string,
    writes: readonly KeyWrite[],
    found: ReadonlyMap<string, readonly (number | null)[]>,
    nowMs: number,
  ): void {
    const values = found.get(key) ?? [];
    const numbers = values.filter((value) => value !== null);
    expect({ key, numbers }).toEqual({ key, numbers: [...numbers].sort((a, b) => a - b) });
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const value of numbers) {
      const state = writes.find((write) => write.value === value)?.state ?? 'never sent';
      expect({ key, value, isThere: ['ok', 'unknown'].includes(state) }).toEqual({
        key,
        value,
        isThere: true,
      });
    }
    const lastOk = writes.findLastIndex(({ state }) => state === 'ok');
    const newest = writes.slice(Math.max(0, lastOk)).filter(({ state }) => state !== 'failed');
    const allowed: (number | null | undefined)[] = newest.map(({ value }) => value);
    // A tombstone that is old enough is removed too; a key of unknown state may not exist.
    const isOld = (write: KeyWrite): boolean =>
      write.value === null && nowMs - write.atMs >= DELETE_RETENTION_MS;
    if (lastOk === -1 || newest.some(isOld)) allowed.push(undefined);
    const last = values.at(-1);
    const isFine = allowed.includes(last);
    expect(isFine, JSON.stringify({ key, allowed, values, writes: writes.slice(-9) })).toBe(true);
  }
}

/** A partition whose start is deleted: by age, by size, or on request. */
export class WindowModel {
  readonly #sent = new Map<number, { readonly value: string; readonly timestampMs: number }>();
  #asked = 0;
  #deleted = 0;

  acknowledged(offset: number, value: string, timestampMs: number): void {
    this.#sent.set(offset, { value, timestampMs });
  }

  asking(offset: number): void {
    this.#asked = Math.max(this.#asked, offset);
  }

  deleted(offset: number): void {
    this.#deleted = Math.max(this.#deleted, offset);
  }

  /** Whether the start is deleted only on request. */
  isAsked(start: number): boolean {
    return start <= this.#asked;
  }

  audit({ records, nowMs }: Found<string>, start: number, rule: 'age' | 'size'): void {
    expect(start).toBeGreaterThanOrEqual(this.#deleted);
    expect(records.map(({ offset }) => offset)).toEqual(records.map((_, at) => start + at));
    for (const [offset, { value, timestampMs }] of this.#sent) {
      if (offset >= start) {
        expect({ offset, value: records[offset - start]?.value }).toEqual({ offset, value });
      } else {
        const mayGo = offset < this.#asked || rule === 'size' || timestampMs < nowMs - RETENTION_MS;
        expect(mayGo, JSON.stringify({ offset, start, timestampMs, nowMs })).toBe(true);
      }
    }
  }
}

/** A group's committed offsets by partition, and the records that its members got. */
export class GroupModel {
  /** The highest acknowledged offset, and the highest requested one. */
  readonly #committed = new Map<string, { acknowledged: number; asked: number }>();
  readonly handed = new Set<string>();

  committing(place: string, offset: number): void {
    const known = this.#committed.get(place) ?? { acknowledged: -1, asked: -1 };
    this.#committed.set(place, { ...known, asked: Math.max(known.asked, offset) });
  }

  committed(place: string, offset: number): void {
    const known = this.#committed.get(place) ?? { acknowledged: -1, asked: offset };
    const acknowledged = Math.max(known.acknowledged, offset);
    this.#committed.set(place, { ...known, acknowledged });
  }

  /** Compares a committed offset that was found with this, and with the partition's records. */
  audit(offsets: ReadonlyMap<string, number>, records: ReadonlyMap<string, Records<string>>): void {
    for (const [place, { acknowledged, asked }] of this.#committed) {
      const found = offsets.get(place) ?? -1;
      const isFine = found >= acknowledged && found <= asked;
      expect(isFine, JSON.stringify({ place, found, acknowledged, asked })).toBe(true);
    }
    for (const [place, committed] of offsets) {
      const skipped = (records.get(place) ?? []).filter(({ offset, value }) => {
        return offset < committed && !this.handed.has(value ?? '');
      });
      const names = skipped.map(({ offset, value }) => `${value} at ${place}@${offset}`);
      expect({ committed, skipped: names }).toEqual({ committed, skipped: [] });
    }
  }
}

/** A topic that comes and goes. */
export interface PassingTopic {
  /** `maybe`: during a creation or deletion, and after one failed. */
  state: 'there' | 'maybe' | 'gone';
  /** Acknowledged partitions, and requested ones. */
  partitions: number;
  asked: number;
  /** Values sent to the topic since its last creation. */
  readonly sent: Set<string>;
  readonly acknowledged: Set<string>;
}

/** What clients know about the topics that the history does not cover. */
export class Models {
  readonly fast = new FastModel();
  readonly table = new TableModel();
  readonly aging = new WindowModel();
  readonly bounded = new WindowModel();
  /** By group id. */
  readonly groups = new Map<string, GroupModel>();
  readonly passing = new Map<string, PassingTopic>();
  /** Acknowledged partitions of `events`. */
  eventPartitions = 3;

  group(groupId: string): GroupModel {
    const known = this.groups.get(groupId) ?? new GroupModel();
    this.groups.set(groupId, known);
    return known;
  }
}
