import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Delays } from './results.ts';
import { slotOf, type Straight, type WindowTable } from './straight.ts';

const CHUNK_BYTES = 1024 * 1024;

/** The result of comparing the written windows with the straight computation. */
export interface Verification {
  /** Windows of the straight computation. */
  windows: number;
  missing: number;
  /** Windows written more than once. */
  duplicated: number;
  /** Windows with other numbers, or that should not exist. */
  different: number;
}

/** Compares every line that the job has written with the straight computation. */
export async function verify(
  directory: string,
  straight: Straight,
  onAirport: (delays: Delays) => void = () => undefined,
): Promise<Verification> {
  const found: Verification = { windows: 0, missing: 0, duplicated: 0, different: 0 };
  await compare(join(directory, 'states'), straight.days, found, () => undefined);
  await compare(join(directory, 'airports'), straight.hours, found, onAirport);
  return found;
}

async function compare(
  folder: string,
  table: WindowTable,
  found: Verification,
  visit: (delays: Delays) => void,
): Promise<void> {
  const seen = new Uint8Array(table.count.length);
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.jsonl'))) {
    for await (const line of linesOf(join(folder, name))) {
      const delays = JSON.parse(line) as Delays;
      visit(delays);
      const slot = slotOf(table, delays.place, delays.windowStartMs);
      if (slot === undefined || table.count[slot] === 0) {
        found.different++;
        continue;
      }
      if (seen[slot]!++ > 0) found.duplicated++;
      else if (!isEqual(delays, table, slot)) found.different++;
    }
  }
  for (const [slot, count] of table.count.entries()) {
    if (count === 0) continue;
    found.windows++;
    if (seen[slot] === 0) found.missing++;
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of createReadStream(file, {
    encoding: 'utf8',
    highWaterMark: CHUNK_BYTES,
  })) {
    const lines = (rest + (chunk as string)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** Exactly equal: both sides divide the same integers. */
function isEqual(delays: Delays, table: WindowTable, slot: number): boolean {
  const count = table.count[slot]!;
  return (
    delays.flights === count &&
    delays.meanDelay === table.sum[slot]! / count &&
    delays.maxDelay === table.max[slot] &&
    delays.shareDelayed === table.delayed[slot]! / count
  );
}
