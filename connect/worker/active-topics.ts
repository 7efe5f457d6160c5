import type { ConnectRecord, Transform } from '../transform.ts';
import type { MadeConnector } from './definition.ts';

/**
 * The topics that a connector has used since it was created, or since they were reset: those that
 * its source has written to, or its sink has read from. Without transforms that are all of its
 * topics, as soon as it has moved a record.
 */
export class ActiveTopics {
  #noted: Set<string>;
  /** Topics of records that went through the transforms. */
  readonly #seen = new Set<string>();
  /** Records that the runner had moved when the topics were reset: they count no more. */
  #recordsBefore = 0;

  /** @param noted those that the log has. */
  constructor(noted: Iterable<string>) {
    this.#noted = new Set(noted);
  }

  /** Those that are known to the log, by name. */
  get names(): string[] {
    return [...this.#noted].sort();
  }

  /** The transforms of a connector, with one that sees topics if there are any. */
  watch({ kind, transforms }: MadeConnector): readonly Transform[] {
    this.#recordsBefore = 0;
    if (transforms.length === 0) return transforms;
    const see = (record: ConnectRecord): ConnectRecord => {
      this.#seen.add(record.topic);
      return record;
    };
    return kind === 'source' ? [...transforms, see] : [see, ...transforms];
  }

  /** Topics that were used and that the log does not know yet; from now on it is to know them. */
  takeNew({ connector, transforms }: MadeConnector, records: number): string[] {
    if (records <= this.#recordsBefore) return [];
    const used = transforms.length > 0 ? this.#seen : connector.topics.map(({ name }) => name);
    const fresh = [...used].filter((name) => !this.#noted.has(name));
    for (const name of fresh) this.#noted.add(name);
    return fresh;
  }

  /** Forgets them: those that are used after `records` count again. */
  reset(records: number): void {
    this.#noted = new Set();
    this.#seen.clear();
    this.#recordsBefore = records;
  }
}
