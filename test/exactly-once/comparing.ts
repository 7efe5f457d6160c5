/** What the drivers share: reading topics, and comparing what is in them with what should be. */
import type { ConsumerRecord, Log, Topic } from '../../core/index.ts';
import { readTopic } from '../kit/read-topic.ts';

/** A record as the drivers see it. */
export type Seen<V = number> = ConsumerRecord<string, V>;

/** Texts in their order, by the partition or key that they belong to. */
export type Sequences = ReadonlyMap<string, readonly string[]>;

/** How far an application has read each partition, by `topic-partition`. */
export type Committed = ReadonlyMap<string, number>;

/** Findings per topic: the first ones say enough. */
const FINDINGS_MAX = 3;

export async function committedBy(log: Log, applicationId: string): Promise<Committed> {
  const groups = await log.admin().listGroups();
  // An application that was killed before its first commit has none.
  if (!groups.some(({ groupId }) => groupId === applicationId)) return new Map();
  const offsets = await log.admin().listGroupOffsets(applicationId);
  return new Map(offsets.map(({ topic, partition, offset }) => [`${topic}-${partition}`, offset]));
}

/** What readers of committed data see of a topic. */
export function readCommitted<V>(log: Log, topic: Topic<string, V>): Promise<Seen<V>[]> {
  return readTopic(log, topic, 'read_committed');
}

/** The records below the committed offsets. */
export function upTo<V>(records: readonly Seen<V>[], committed: Committed): Seen<V>[] {
  return records.filter(
    ({ topic, partition, offset }) => offset < (committed.get(`${topic}-${partition}`) ?? 0),
  );
}

/** Collects texts by partition or key. */
export class Sequenced {
  readonly all = new Map<string, string[]>();

  add(name: string, text: string): void {
    const known = this.all.get(name);
    if (known === undefined) this.all.set(name, [text]);
    else known.push(text);
  }
}

/** `key value @time` of each record, by partition. */
export function byPartition<V>(records: readonly Seen<V>[]): Sequences {
  const found = new Sequenced();
  for (const { partition, key, value, timestampMs } of records) {
    found.add(String(partition), `${key} ${String(value)} @${timestampMs}`);
  }
  return found.all;
}

/** `value @time` of each record, by key. */
export function byKey<V>(records: readonly Seen<V>[]): Sequences {
  const found = new Sequenced();
  for (const { key, value, timestampMs } of records) {
    found.add(key ?? 'null', `${String(value)} @${timestampMs}`);
  }
  return found.all;
}

/** How exactly sequences are compared; `prefix` allows that the end of each is not there yet. */
export type Exactness = 'equal' | 'prefix';

/** What differs between the expected and the actual records of a topic. */
export function differences(
  topic: string,
  expected: Sequences,
  actual: Sequences,
  exactness: Exactness = 'equal',
): string[] {
  const findings: string[] = [];
  for (const name of new Set([...expected.keys(), ...actual.keys()])) {
    const [wanted = [], found = []] = [expected.get(name), actual.get(name)];
    const length = exactness === 'prefix' ? found.length : Math.max(wanted.length, found.length);
    for (let index = 0; index < length; index++) {
      if (wanted[index] === found[index]) continue;
      findings.push(
        `${topic}: record ${index} of ${name} is ${found[index] ?? 'missing'}` +
          `, not ${wanted[index] ?? 'absent'}`,
      );
      break; // whatever follows is shifted
    }
    if (findings.length === FINDINGS_MAX) break;
  }
  return findings;
}

/** Partitions with an open transaction, or whose offsets do not rise from record to record. */
export async function unfinished(
  log: Log,
  topic: Topic<string, unknown>,
  records: readonly Seen<unknown>[],
): Promise<string[]> {
  const findings: string[] = [];
  const last = new Map<number, number>();
  for (const { partition, offset } of records) {
    if (offset <= (last.get(partition) ?? -1)) {
      findings.push(`${topic.name}-${partition}: offset ${offset} does not rise`);
    }
    last.set(partition, offset);
  }
  for (const { partition, latest } of await log.admin().offsets(topic.name)) {
    const { partitions } = await log.api.listOffsets({
      isolationLevel: 'read_committed',
      partitions: [{ topic: topic.name, partition, spec: 'latest' }],
    });
    const stable = partitions[0]?.offset ?? -1;
    if (stable !== latest) {
      findings.push(`${topic.name}-${partition}: a transaction is open at ${stable} of ${latest}`);
    }
  }
  return findings;
}
