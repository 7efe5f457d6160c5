import { expect, test } from 'vitest';
import { filesBelow, overwrite } from '../../core/check/sample-log.suite.ts';
import { checkEach } from '../kit/check-each.ts';
import { observe, sample, type Told } from './flipped-bytes.ts';
import { DIRECTORY } from './world.ts';

/** One byte in this many is flipped; `npm run soak` flips each. */
const STRIDE = Number(process.env['FLIP_STRIDE'] ?? 47);
const TIMEOUT_MS = 3_600_000;

/**
 * Answers that may be wrong, without an error, after a byte of a file was flipped: other values
 * there are equally valid, and no checksum covers them. `verifyLog` finds what can be found.
 */
const UNNOTICED: readonly (readonly [file: string, what: RegExp, why: string])[] = [
  ['topics.json', /^(topics$|settings of |offsets of )/, 'a name, an id or a legal setting'],
];

/** Whether readers got an error instead, or the same answer. */
function isSame(told: Told, expected: Told): boolean {
  return 'code' in told || JSON.stringify(told) === JSON.stringify(expected);
}

/** Whether they lost at most the end, as after a crash that tore the tail. */
function isCut(told: Told, expected: Told): boolean {
  if (isSame(told, expected)) return true;
  if (!('data' in expected) || !('data' in told)) return false;
  const [found, whole] = [told.data, expected.data];
  if (!Array.isArray(found) || !Array.isArray(whole)) return false;
  return found.every((each, index) => each === whole[index]);
}

/**
 * Whether a byte belongs to the base offset of a file's last batch, which no checksum covers: above
 * the recovery point nothing else tells the first offset of that batch.
 */
function isLastBase(name: string, content: Buffer, at: number): boolean {
  if (!name.endsWith('.log')) return false;
  let [start, next] = [0, 0];
  while (next < content.length) [start, next] = [next, next + 12 + content.readInt32BE(next + 8)];
  return at >= start && at < start + 8;
}

/** Flips bytes of a log, one at a time; returns the flips that led to a wrong answer. */
async function flipBytes(
  end: 'closed' | 'killed',
  isFine: (told: Told, expected: Told, what: string) => boolean,
): Promise<{ readonly wrong: readonly string[]; readonly count: number }> {
  const whole = await sample(end);
  const expected = await observe(whole.kill());
  const wrong: string[] = [];
  const cases: { path: string; at: number; flipped: number }[] = [];
  for (const [path, content] of await filesBelow(whole)) {
    const name = path.slice(DIRECTORY.length + 1);
    for (let at = cases.length % STRIDE; at < content.length; at += STRIDE) {
      if (end === 'killed' && isLastBase(name, content, at)) continue;
      cases.push({ path, at, flipped: content[at]! ^ (1 << (at % 8)) });
    }
  }
  await checkEach(cases, async ({ path, at, flipped }) => {
    const name = path.slice(DIRECTORY.length + 1);
    const disk = whole.kill();
    await overwrite(disk, path, Buffer.from([flipped]), at);
    for (const [what, answer] of await observe(disk)) {
      if (isFine(answer, expected.get(what)!, what)) continue;
      const isKnown = UNNOTICED.some(([file, known]) => file === name && known.test(what));
      if (!isKnown) wrong.push(`${name} at ${at}: ${what}: ${JSON.stringify(answer)}`);
    }
  });
  return { wrong, count: cases.length };
}

test(
  '[SIM-3] a flipped byte of a closed log: the same answer, or an error with a code',
  async () => {
    const { wrong, count } = await flipBytes('closed', isSame);
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(9000 / STRIDE);
  },
  TIMEOUT_MS,
);

test(
  '[SIM-3] a flipped byte of a killed log: the end may also be cut, as after a torn write',
  async () => {
    const { wrong, count } = await flipBytes('killed', (told, expected, what) => {
      // The state of groups and transactions is also at the end of a log.
      return / read_(un)?committed$/.test(what) ? isCut(told, expected) : !('uncoded' in told);
    });
    expect(wrong).toEqual([]);
    expect(count).toBeGreaterThan(9000 / STRIDE);
  },
  TIMEOUT_MS,
);
