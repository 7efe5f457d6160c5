import { expect, test } from 'vitest';
import { connectFailure, inputFile, readBatches, readRows } from '../../test/kit/connect.ts';
import { writtenTexts } from '../../test/kit/output.ts';
import { jsonl } from './jsonl.ts';

test('[CONNECT-JSONL-1] one JSON value per line; empty lines are skipped', async () => {
  const path = inputFile('{"a":1}\r\n\n  \n[2,"é"]\nnull\n"x"\n7');
  const values = [{ a: 1 }, [2, 'é'], null, 'x', 7];
  expect(await readRows(jsonl(), path)).toEqual(values);
  expect(await readRows(jsonl(), inputFile('\uFEFF{"a":1}\n'))).toEqual([{ a: 1 }]);
});

test('[CONNECT-JSONL-2] a line that is not JSON is an error with its place', async () => {
  for (const bad of ['{"a":', '{"a":1} {"a":2}', 'nul', "{'a':1}"]) {
    const path = inputFile(`{"a":"ä"}\n\n${bad}\n{"a":3}\n`);
    const { code, message, details } = await connectFailure(readRows(jsonl(), path));
    expect(code).toBe('INVALID_JSON');
    expect(details).toMatchObject({ file: path, line: 3, positionBytes: 12 });
    expect(message).toContain(`${path}, line 3 (byte 12): the line is not JSON`);
    expect(message).toContain("jq -c '.[]'");
  }
});

test('[CONNECT-JSONL-3] any offset yields the rest; lineOf gives the line of a row', async () => {
  const rows = Array.from({ length: 20_000 }, (_, id) => ({ id, text: 'é'.repeat(id % 40) }));
  const path = inputFile(rows.map((row) => `${JSON.stringify(row)}\n`).join('\n'));
  const batches = await readBatches(jsonl<(typeof rows)[number]>(), path);
  expect(batches.length).toBeGreaterThan(3);
  let read = 0;
  for (const batch of batches) {
    expect(batch.lineOf(0)).toBe(read * 2 + 1);
    expect(batch.lineOf(batch.rows.length - 1)).toBe((read + batch.rows.length) * 2 - 1);
    read += batch.rows.length;
    expect(await readRows(jsonl(), path, batch.offset)).toEqual(rows.slice(read));
  }
});

test('[CONNECT-JSONL-4] values without a JSON form are refused', async () => {
  const row = { a: new Date(0), b: undefined, c: Number.NaN };
  expect(await writtenTexts(jsonl(), [row])).toEqual({
    header: '',
    texts: ['{"a":"1970-01-01T00:00:00.000Z","c":null}'],
  });
  await expect(writtenTexts(jsonl(), [undefined])).rejects.toThrow(/undefined has no JSON form/);
  // Integers keep their digits, as they do when they are read.
  expect(await writtenTexts(jsonl(), [{ n: 2n ** 64n }])).toMatchObject({
    texts: ['{"n":18446744073709551616}'],
  });
});
