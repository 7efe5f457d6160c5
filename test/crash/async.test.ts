import { expect, test } from 'vitest';
import { bytes, openLog, seededRandom, silentLogger, topic } from '../../core/index.ts';
import { produce } from '../kit/app.ts';
import { runChild } from '../kit/child.ts';
import { readTopic } from '../kit/read-topic.ts';
import { SEED } from '../kit/seed.ts';
import { temporaryDirectory } from '../kit/temporary-directory.ts';
import { deadLetters, input, KEYS, output, RECORDS } from './async-topology.ts';

const PROGRAM = 'test/crash/async-process.ts';
const KILLS = 5;

test.each(['partition', 'key', 'none'] as const)(
  `[OP-ASYNC-5] killed during calls: each result is there once, order %s, seed ${SEED}`,
  async (order) => {
    const directory = temporaryDirectory();
    const rows = Array.from({ length: RECORDS }, (_, index) => {
      return [`k${index % KEYS}`, index + 1, index, index % KEYS < 3 ? 0 : 1] as const;
    });
    const opened = await openLog(directory, { logger: silentLogger });
    await produce(opened, input, rows);
    await opened.close();
    const random = seededRandom(SEED);
    let kills = 0;
    for (let run = 0; run < KILLS; run++) {
      const afterMs = 20 + random.next() * 250;
      const { how } = await runChild(PROGRAM, [directory, order], { afterMs, since: 'output' });
      expect(['SIGKILL', '0']).toContain(how);
      if (how === 'SIGKILL') kills++;
    }
    expect(kills).toBeGreaterThan(2); // otherwise nothing was tested
    expect((await runChild(PROGRAM, [directory, order])).how).toBe('0');

    await using log = await openLog(directory, { logger: silentLogger });
    const found = new Map<string, string[]>();
    for (const { key, value } of await readTopic(log, output, 'read_committed')) {
      const list = found.get(key ?? '') ?? [];
      list.push(value ?? '');
      found.set(key ?? '', list);
    }
    for (let index = 0; index < KEYS; index++) {
      const key = `k${index}`;
      const values = rows
        .filter((row) => row[0] === key && row[1] % 100 !== 99)
        .map((row) => row[1]);
      const results = found.get(key) ?? [];
      if (order === 'none') {
        // In any order: each sum adds its value to that of the one before it.
        const seen = results.map((result) => result.split(' ').map(Number) as [number, number]);
        expect(seen.map(([value]) => value).sort((a, b) => a - b)).toEqual(values);
        const sums = seen.sort((a, b) => a[1] - b[1]);
        let sum = 0;
        for (const [value, total] of sums) expect(total).toBe((sum += value));
      } else {
        let sum = 0;
        expect(results).toEqual(values.map((value) => `${value} ${(sum += value)}`));
      }
    }
    const raw = topic(deadLetters, { key: bytes(), value: bytes() });
    const letters = await readTopic(log, raw, 'read_committed');
    const failed = letters.map(({ value }) => Number(Buffer.from(value!).readBigInt64BE()));
    expect(failed.sort((a, b) => a - b)).toEqual(
      rows.map((row) => row[1]).filter((value) => value % 100 === 99),
    );
  },
  120_000,
);
