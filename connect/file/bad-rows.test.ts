import { appendFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { bytes, json, nodeFileSystem, string, topic, systemClock } from '../../core/index.ts';
import type { FileSystem } from '../../core/index.ts';
import { compress } from '../../core/internal.ts';
import { inputFile } from '../../test/kit/connect.ts';
import type { BadInput, SourceConnector, SourceOffset } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { csv } from './csv.ts';
import { fileSource } from './file-source.ts';
import { jsonl } from './jsonl.ts';
import { lines } from './lines.ts';

const texts = topic('texts', { key: string(), value: string() });
const values = topic('values', { key: string(), value: json<unknown>() });
const KIB = 1024;

/** What a source yields. */
interface Yield {
  readonly values: unknown[];
  readonly bad: (Omit<BadInput, 'raw' | 'error'> & {
    readonly raw?: string;
    readonly code: string;
  })[];
  /** Behind each batch. */
  readonly offsets: SourceOffset[];
}

/** Polls a source to its end, from an offset or from the start. */
async function poll(source: SourceConnector, offset?: SourceOffset): Promise<Yield> {
  const signal = new AbortController().signal;
  const [task] = await source.open({ offset: () => offset, signal, clock: systemClock });
  const found: Yield = { values: [], bad: [], offsets: [] };
  for (let batch = await task?.poll(); batch !== undefined; batch = await task?.poll()) {
    const packed = batch.packed;
    const plain = batch.records.map(({ value }) => value);
    found.values.push(...plain);
    if (packed !== undefined) {
      // The packed form is the same as the serde writes.
      const read = plain.map((_, index): unknown => {
        const [start, end] = [packed.bounds[2 * index], packed.bounds[2 * index + 1]];
        return packed.topic.value.deserialize(packed.bytes, start!, end!);
      });
      expect(read).toEqual(plain);
    }
    for (const { raw, error, ...rest } of batch.bad ?? []) {
      const code = error instanceof ConnectError ? error.code : error.name;
      found.bad.push({ ...rest, code, ...(raw && { raw: Buffer.from(raw).toString('latin1') }) });
    }
    found.offsets.push(batch.offset);
  }
  await task?.close();
  return found;
}

const ofLines = (path: string, key: (line: string) => string | null = () => null) =>
  fileSource({ path, format: lines(), topic: texts, key });
const ofJson = (path: string, key: (row: unknown) => string | null = () => null) =>
  fileSource({ path, format: jsonl(), topic: values, key });

test.each(['looked at', 'carried'] as const)(
  '[CONNECT-TEXT-10] lines that cannot be decoded are bad, the others are read (%s)',
  async (how) => {
    const path = inputFile(Buffer.from('ok\nn\xe4ive\n\xc3\xa9\n\xff', 'latin1'));
    const found = await poll(how === 'carried' ? ofLines(path) : ofLines(path, (line) => line));
    expect(found.values).toEqual(['ok', 'é']);
    const at = (line: number, byte: number) => ({
      stage: 'read',
      place: `${path}, line ${line}`,
      position: { file: path, line, byte },
      code: 'NOT_UTF8',
    });
    expect(found.bad).toEqual([
      { ...at(2, 3), raw: 'n\xe4ive\n' },
      { ...at(4, 12), raw: '\xff' },
    ]);
  },
);

test.each(['looked at', 'carried'] as const)(
  '[CONNECT-TEXT-10] lines that are not JSON are bad, the others are read (%s)',
  async (how) => {
    const path = inputFile('{"a":1}\r\n\n{"a":}\n [2] \nnul\n"\xe9"\n');
    appendFileSync(path, Buffer.from('"\xe9"\n', 'latin1'));
    const found = await poll(how === 'carried' ? ofJson(path) : ofJson(path, (row) => String(row)));
    expect(found.values).toEqual([{ a: 1 }, [2], '\xe9']);
    expect(found.bad.map(({ code, position, raw }) => [code, position['line'], raw])).toEqual([
      ['INVALID_JSON', 3, '{"a":}\n'],
      ['INVALID_JSON', 5, 'nul\n'],
      ['NOT_UTF8', 7, '"\xe9"\n'],
    ]);
  },
);

test('[CONNECT-CSV-13] bad records are told apart from good ones', async () => {
  const path = inputFile('a,n\n1,2\n3\n"x"y,4\n"two\nlines",5\n6,z\n\n"open,7\n8,9\n');
  appendFileSync(path, Buffer.from('\xff,10\n11,12\n"13\n', 'latin1'));
  const format = csv<{ a: string; n: number }>({ columns: { n: 'number' } });
  const source = fileSource({ path, format, topic: values, key: () => null });
  const found = await poll(source);
  expect(found.values).toEqual([
    { a: '1', n: 2 },
    { a: 'two\nlines', n: 5 },
    { a: '11', n: 12 },
  ]);
  expect(found.bad.map(({ code, position, raw }) => [code, position['line'], raw])).toEqual([
    ['FIELD_COUNT', 3, '3\n'],
    ['INVALID_CSV', 4, '"x"y,4\n'],
    ['INVALID_CSV', 7, '6,z\n'],
    // It might go on up to the line that cannot be decoded.
    ['NOT_UTF8', 9, '"open,7\n8,9\n\xff,10\n'],
    ['INVALID_CSV', 13, '"13\n'],
  ]);
  for (const [index, offset] of found.offsets.entries()) {
    const rest = await poll(source, offset);
    expect(rest.offsets.at(-1) ?? offset).toMatchObject({ position: 63, line: 13 });
    expect(index).toBeLessThan(10);
  }
});

test('[CONNECT-CSV-13] a quote that is never closed costs one line', async () => {
  const path = inputFile('a,b\n1,2\n"3,4\n5,6\n7,8\n');
  const source = fileSource({ path, format: csv(), topic: values, key: () => null });
  const found = await poll(source);
  expect(found.values).toEqual([
    { a: '1', b: '2' },
    { a: '5', b: '6' },
    { a: '7', b: '8' },
  ]);
  expect(found.bad.map(({ code, raw }) => [code, raw])).toEqual([['INVALID_CSV', '"3,4\n']]);
});

test('[CONNECT-INPUT-14] rows for which a function throws are bad, with their bytes', async () => {
  const path = inputFile('{"id":1}\n\n{"id":2}\r\n{"id":3}\n{"id":"é"}\n{"id":5}\n');
  const only = (id: unknown) => (row: unknown) => {
    if ((row as { id: unknown }).id === id) throw new RangeError(`not ${String(id)}`);
    return String((row as { id: unknown }).id);
  };
  const source = fileSource({
    path,
    format: jsonl(),
    topic: values,
    key: only(1),
    value: (row) => ({ id: only(2)(row) }),
    timestamp: (row) => (only(3)(row) === '5' ? Number.NaN : 0),
    headers: (row) => ({ id: only('é')(row) }),
  });
  const { bad, values: good } = await poll(source);
  expect(good).toEqual([]);
  expect(bad.map(({ stage, code, position, raw }) => [stage, code, position, raw])).toEqual([
    ['convert', 'ROW_FAILED', { file: path, line: 1, byte: 0 }, '{"id":1}\n'],
    ['convert', 'ROW_FAILED', { file: path, line: 3, byte: 10 }, '{"id":2}\r\n'],
    ['convert', 'ROW_FAILED', { file: path, line: 4, byte: 20 }, '{"id":3}\n'],
    ['convert', 'ROW_FAILED', { file: path, line: 5, byte: 29 }, '{"id":"\xc3\xa9"}\n'],
    ['convert', 'ROW_FAILED', { file: path, line: 6, byte: 41 }, '{"id":5}\n'],
  ]);
});

test('[CONNECT-INPUT-15] headers are made from fields', async () => {
  const path = inputFile('a\nb\n');
  const source = fileSource({
    ...{ path, format: lines(), topic: texts, key: () => null },
    headers: (line) => ({ line, bytes: Buffer.from([1]), none: null }),
  });
  const signal = new AbortController().signal;
  const [task] = await source.open({ offset: () => undefined, signal, clock: systemClock });
  const batch = await task?.poll();
  expect(batch?.records[1]?.headers).toEqual([
    { key: 'line', value: Buffer.from('b') },
    { key: 'bytes', value: Buffer.from([1]) },
    { key: 'none', value: null },
  ]);
  expect(batch?.packed?.headers).toHaveLength(2);
  await task?.close();
});

/**
 * A file of which nothing is on the disk: `before`, then one byte again and again, then `after`.
 */
function endless(before: string, sizeBytes: number, after: string): FileSystem {
  const fill = (target: Buffer, position: number): number => {
    const end = before.length + sizeBytes;
    for (let at = 0; at < target.length; at++) {
      const place = position + at;
      if (place >= end + after.length) return at;
      target[at] =
        place < before.length
          ? before.charCodeAt(place)
          : place < end
            ? 0x78
            : after.charCodeAt(place - end);
    }
    return target.length;
  };
  return {
    ...nodeFileSystem,
    stat: async () => ({ sizeBytes: 1, modifiedMs: 0, isDirectory: false }),
    open: async (path) =>
      ({
        path,
        read: async (target: Buffer, position: number) => fill(target, position),
        sizeBytes: async () => before.length + sizeBytes + after.length,
        close: async () => undefined,
      }) as unknown as Awaited<ReturnType<FileSystem['open']>>,
  };
}

test.each([
  ['lines', lines(), texts, 'a', 'b'],
  ['jsonl', jsonl(), values, '1', '2'],
  ['csv', csv({ header: ['c'] }), values, 'a', 'b'],
] as const)(
  '[CONNECT-TEXT-11] a line of 50 MB is skipped in bounded memory, %s',
  async (_, format, target, before, after) => {
    const fileSystem = endless(`${before}\n`, 50_000_000, `\n${after}\n`);
    const source = fileSource({
      ...{ path: 'endless', fileSystem, key: () => null },
      format,
      topic: target,
    });
    const startBytes = process.memoryUsage().arrayBuffers;
    const found = await poll(source);
    expect(process.memoryUsage().arrayBuffers - startBytes).toBeLessThan(30 * KIB * KIB);
    expect(found.values).toHaveLength(2);
    expect(found.bad).toHaveLength(1);
    expect(found.bad[0]).toMatchObject({ code: 'LINE_TOO_LONG', position: { line: 2, byte: 2 } });
    expect(found.bad[0]?.raw).toBe('x'.repeat(64 * KIB));
    // Wherever a run stops, the next one reads the rest and nothing twice.
    const some = found.offsets.filter((__, index) => index % 2 === 0 || index < 3);
    for (const offset of some) {
      const rest = await poll(source, offset);
      const isBehind = (offset['line'] as number) >= 3;
      expect(rest.values).toHaveLength(isBehind ? 0 : 1);
      expect(rest.bad).toHaveLength((offset['position'] as number) <= 2 ? 1 : 0);
    }
  },
  60_000,
);

test('[CONNECT-TEXT-11] a line is too long for the default beyond 1 MiB', async () => {
  const path = inputFile(`${'x'.repeat(KIB * KIB - 1)}\n${'y'.repeat(KIB * KIB + 300 * KIB)}\nz`);
  const found = await poll(ofLines(path));
  expect(found.values.map((value) => String(value).length)).toEqual([KIB * KIB - 1, 1]);
  expect(found.bad.map(({ code }) => code)).toEqual(['LINE_TOO_LONG']);
  const larger = fileSource({
    ...{ path, topic: texts, key: () => null },
    format: lines({ lineBytesMax: 2 * KIB * KIB }),
  });
  expect((await poll(larger)).values).toHaveLength(3);
});

test('[CONNECT-TEXT-12] lines can be read as bytes, whatever they hold', async () => {
  const raw = topic('raw', { key: string(), value: bytes() });
  const path = inputFile(Buffer.from('a\n\xff\x00\r\n\n', 'latin1'));
  const format = lines({ as: 'bytes' });
  const source = fileSource({ path, format, topic: raw, key: () => null });
  const { values: read, bad } = await poll(source);
  expect(read).toEqual([Buffer.from('a'), Buffer.from([0xff, 0]), Buffer.from('')]);
  expect(bad).toEqual([]);
  // @ts-expect-error -- text is no bytes
  fileSource({ path, format: lines(), topic: raw, key: () => null });
});

test.each([
  ['utf-16le', 'utf16le'],
  ['utf-16be', 'utf16be'],
  ['latin1', 'latin1'],
  ['windows-1252', 'latin1'],
] as const)('[CONNECT-ENCODING-1] text in %s is read, from any offset', async (encoding, as) => {
  const rows = ['naïve', '', 'x,"y', ...Array.from({ length: 60_000 }, (_, n) => `é ${n}`)];
  const encode = (text: string): Buffer => {
    const encoded = Buffer.from(text, as === 'utf16be' ? 'utf16le' : as);
    return as === 'utf16be' ? encoded.swap16() : encoded;
  };
  const isWide = as.startsWith('utf16');
  const path = inputFile(encode(`${isWide ? '\uFEFF' : ''}${rows.join('\r\n')}`));
  const source = fileSource({ path, format: lines({ encoding }), topic: texts, key: () => null });
  const found = await poll(source);
  expect(found.values).toEqual(rows);
  expect(found.offsets.length).toBeGreaterThan(1);
  let rest = found.values.length;
  for (const offset of found.offsets) {
    const after = (await poll(source, offset)).values;
    expect(after).toEqual(rows.slice(rows.length - after.length));
    expect(after.length).toBeLessThan(rest);
    rest = after.length;
  }
  const table = inputFile(encode(rows.map((row) => `"${row.replaceAll('"', '""')}",1\n`).join('')));
  const format = csv({ header: ['a', 'b'], encoding });
  const cells = fileSource({ path: table, format, topic: values, key: () => null });
  const read = await poll(cells);
  expect(read.values).toEqual(rows.map((a) => ({ a, b: '1' })));
  expect((await poll(cells, read.offsets[0])).values.length).toBeGreaterThan(0);
  const objects = inputFile(encode(rows.map((row) => `${JSON.stringify({ row })}\n`).join('')));
  const json16 = fileSource({
    ...{ path: objects, topic: values },
    format: jsonl({ encoding }),
    key: () => null,
  });
  expect((await poll(json16)).values).toEqual(rows.map((row) => ({ row })));
});

test('[CONNECT-ENCODING-2] an encoding that lies makes bad rows, unknown ones fail', async () => {
  const path = inputFile(Buffer.from('a\0\n\0\0\xd8\n\0b\0\n\0', 'latin1'));
  const source = fileSource({
    ...{ path, topic: texts, key: () => null },
    format: lines({ encoding: 'utf-16le' }),
  });
  const found = await poll(source);
  expect(found.values).toEqual(['a', 'b']);
  expect(found.bad.map(({ code, position }) => [code, position['byte']])).toEqual([
    ['NOT_UTF8', 4],
  ]);
  for (const encoding of ['utf-17', 'iso-2022-jp', 'x-user-defined']) {
    for (const make of [
      () => lines({ encoding }),
      () => csv({ encoding }),
      () => jsonl({ encoding }),
    ]) {
      expect(make).toThrow(/encoding must be the name of an encoding/);
    }
  }
});

test('[CONNECT-ENCODING-3] files packed with gzip are read, from any offset', async () => {
  const rows = Array.from({ length: 100_000 }, (_, index) => `line ${index}`);
  const half = rows.slice(0, 50_000);
  // Two members, as `cat a.gz b.gz` makes them.
  const packed = Buffer.concat([
    gzipSync(half.map((row) => `${row}\n`).join('')),
    gzipSync(rows.slice(50_000).join('\n')),
  ]);
  const path = inputFile(packed, 'lines.txt.gz');
  const found = await poll(ofLines(path));
  expect(found.values).toEqual(rows);
  expect(found.offsets.length).toBeGreaterThan(2);
  for (const offset of found.offsets) {
    const { values: after } = await poll(ofLines(path), offset);
    expect(after).toEqual(rows.slice(rows.length - after.length));
  }
  const table = inputFile(gzipSync('a,b\n1,2\n'), 'table.csv.gz');
  const cells = fileSource({ path: table, format: csv(), topic: values, key: () => null });
  expect((await poll(cells)).values).toEqual([{ a: '1', b: '2' }]);
  // By its name only: it is plain text.
  const plain = inputFile('a\n', 'plain.gz');
  expect((await poll(ofLines(plain))).values).toEqual(['a']);

  for (const damage of [packed.subarray(0, packed.length - 100), Buffer.from(packed)]) {
    if (damage.length === packed.length) damage.writeUInt8(damage.readUInt8(10_000) ^ 0xff, 10_000);
    writeFileSync(path, damage);
    const failure = await poll(ofLines(path)).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'INVALID_PACKING',
      details: { file: path, packing: 'gzip' },
      message: expect.stringContaining('copy it again') as string,
    });
  }
});

test('[CONNECT-ENCODING-3] files packed with zstd are read, and damage is an error', async () => {
  const rows = Array.from({ length: 50_000 }, (_, index) => `line ${index}`);
  const packed = compress('zstd', Buffer.from(rows.join('\n')));
  const path = inputFile(packed, 'lines.zst');
  const found = await poll(ofLines(path));
  expect(found.values).toEqual(rows);
  const { values: after } = await poll(ofLines(path), found.offsets[0]);
  expect(after).toEqual(rows.slice(rows.length - after.length));
  writeFileSync(path, packed.subarray(0, packed.length - 10));
  const failure = await poll(ofLines(path)).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'INVALID_PACKING', details: { packing: 'zstd' } });
});
