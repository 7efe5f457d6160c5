import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import type { WorkloadName } from './tasks.ts';

const START_MS = Date.UTC(2024, 0, 1);
/** In event time, of the count: a window of a minute then has some 600,000 records. */
const RECORDS_PER_SECOND = 10_000;

/** A record of the input: `bench/kafka/Workloads.java` has the same. */
export interface Event {
  readonly key: string;
  readonly at: number;
  readonly amount: number;
  readonly text: string;
}

/**
 * Writes the records that both sides read, as lines of topic, time, key and value, apart by tabs.
 * About 90 bytes of JSON each; the same in every run, with keys in no order.
 */
export async function writeInput(
  file: string,
  workload: WorkloadName,
  options: { readonly records: number; readonly keys: number },
): Promise<void> {
  const isJoin = workload.endsWith('join');
  const output = createWriteStream(file);
  for (let index = 0; index < options.records; index++) {
    const topic = !isJoin ? 'events' : index % 2 === 0 ? 'lefts' : 'rights';
    // Each record of a join has a time of its own: so the order of the two inputs is certain.
    const at = START_MS + (isJoin ? index : Math.floor((index * 1000) / RECORDS_PER_SECOND));
    const key = `key-${(Math.imul(index, 0x9e3779b1) >>> 12) % options.keys}`;
    const amount = index % 1000;
    const event: Event = { key, at, amount, text: 'some words to fill the line' };
    const line = `${topic}\t${at}\t${key}\t${JSON.stringify(event)}\n`;
    if (!output.write(line)) await once(output, 'drain');
  }
  output.end();
  await once(output, 'finish');
}
