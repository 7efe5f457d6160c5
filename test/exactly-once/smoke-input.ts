import { seededRandom } from '../../core/index.ts';
import { days } from '../../streams/index.ts';
import type { InputRecord, Run } from './client.ts';

const KEYS = 20;
/** Records of a key for each killed process, and for the last one. */
const RECORDS_A_LIFE = 25;
/** Values are out of order within so many. */
const SHUFFLED = 10;
/** The beginning of a window of two days. */
const START_MS = days(20_454);
/** Closes all windows; the application leaves it out of all results. */
export const FLUSH = 'flush';
/** When all windows have closed. */
export const END_MS = START_MS + days(4);

/** All records, in the order in which they are sent: times rise, but for some disorder. */
export function smokeInput({ seed, kills }: Run): InputRecord[] {
  const random = seededRandom(seed);
  const upTo = (limit: number): number => Math.floor(random.next() * limit);
  const count = RECORDS_A_LIFE * (kills + 1);
  const left = Array.from({ length: KEYS }, (_, first) => {
    const values = Array.from({ length: count }, (__, index) => first + index);
    for (let index = 0; index < count; index++) {
      const other = index + upTo(Math.min(count - index, SHUFFLED));
      [values[index], values[other]] = [values[other]!, values[index]!];
    }
    return { key: `${first}-${first + count - 1}`, values };
  });
  const records: InputRecord[] = [];
  while (left.length > 0) {
    const which = upTo(left.length);
    const { key, values } = left[which]!;
    const value = values.shift();
    if (value === undefined) left.splice(which, 1);
    else records.push({ key, value, timestampMs: START_MS + records.length * 40 + upTo(600) });
  }
  return records;
}
