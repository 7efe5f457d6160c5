import { present } from '../../core/assert.ts';
import type { PlainRecord } from '../../core/record/records.suite.ts';
import type { Player, Step } from './player.ts';

/** The records that one `send` wrote. */
export interface SentBatch {
  readonly topic: string;
  readonly partition: number;
  readonly producer: string;
  readonly codec: string;
  readonly records: readonly PlainRecord[];
  /** Undefined outside transactions. */
  readonly transaction: { outcome: 'open' | 'commit' | 'abort' } | undefined;
}

/** An offset that a group has committed. */
interface CommittedStep {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string;
  /** The order of writing: the later written of two commits counts, whichever ended later. */
  readonly at: number;
}

/** Lets a player perform steps and records the expected result. */
export class History {
  readonly batches: SentBatch[] = [];
  /** The committed offsets of groups. */
  readonly offsets: CommittedStep[] = [];
  readonly #player: Player;
  readonly #producers = new Map<string, Extract<Step, { do: 'producer' }>>();
  readonly #open = new Map<string, { outcome: 'open' | 'commit' | 'abort' }>();
  /** Offsets that count when the producer's transaction commits. */
  readonly #pending = new Map<string, CommittedStep[]>();
  #stepCount = 0;

  constructor(player: Player) {
    this.#player = player;
  }

  async perform(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      this.#note(step, await this.#player.perform(step));
      this.#stepCount++;
    }
  }

  /** The records of a partition that the isolation level shows. */
  expected(
    place: { readonly topic: string; readonly partition: number },
    isolationLevel: 'read_committed' | 'read_uncommitted',
  ): PlainRecord[] {
    const all = this.batches.filter((batch) => {
      return batch.topic === place.topic && batch.partition === place.partition;
    });
    if (isolationLevel === 'read_uncommitted') return all.flatMap(({ records }) => records);
    const open = all.find(({ transaction }) => transaction?.outcome === 'open');
    const end = open?.records[0]?.offset ?? Infinity; // the last stable offset
    const visible = all.filter(({ transaction }) => {
      return transaction === undefined || transaction.outcome === 'commit';
    });
    return visible.flatMap(({ records }) => records).filter(({ offset }) => offset < end);
  }

  #note(step: Step, offsets: readonly number[]): void {
    switch (step.do) {
      case 'producer':
        this.#producers.set(step.producer, step);
        break;
      case 'begin':
        this.#open.set(step.producer, { outcome: 'open' });
        break;
      case 'send': {
        const { topic, partition, producer } = step;
        const { codec } = present(this.#producers.get(producer), `${producer} was opened`);
        const records = step.records.map((record, index) => {
          return { ...record, offset: present(offsets[index], 'one offset a record') };
        });
        const transaction = this.#open.get(producer);
        this.batches.push({ topic, partition, producer, codec, records, transaction });
        break;
      }
      case 'commit':
      case 'abort':
        this.#end(step.producer, step.do);
        break;
      case 'offset': {
        const { group, topic, partition, offset, metadata } = step;
        const committed = { group, topic, partition, offset, metadata, at: this.#stepCount };
        if (step.producer === undefined) this.#commitOffset(committed);
        else this.#pending.set(step.producer, [...this.#pendingOf(step.producer), committed]);
        break;
      }
      case 'consume': {
        const { group, topic } = step;
        offsets.forEach((offset, partition) => {
          const at = this.#stepCount;
          this.#commitOffset({ group, topic, partition, offset, metadata: '', at });
        });
        break;
      }
      case 'topic':
      case 'delete':
    }
  }

  #end(producer: string, outcome: 'commit' | 'abort'): void {
    present(this.#open.get(producer), `${producer} has begun`).outcome = outcome;
    this.#open.delete(producer);
    if (outcome === 'commit')
      for (const each of this.#pendingOf(producer)) this.#commitOffset(each);
    this.#pending.delete(producer);
  }

  #pendingOf(producer: string): CommittedStep[] {
    return this.#pending.get(producer) ?? [];
  }

  #commitOffset(committed: CommittedStep): void {
    const { group, topic, partition, at } = committed;
    const index = this.offsets.findIndex((each) => {
      return each.group === group && each.topic === topic && each.partition === partition;
    });
    const known = this.offsets[index];
    if (known === undefined) this.offsets.push(committed);
    else if (known.at < at) this.offsets[index] = committed;
  }
}
