import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { MemoryFileSystem } from '../../../core/testing/index.ts';
import { failureOf } from '../../../test/kit/connect.ts';
import { filesBelow, manifestIn } from '../../../test/kit/output.ts';
import type { ConnectError } from '../../errors.ts';
import { manifestBytes, readManifest, writeManifest } from './manifest-file.ts';
import { faultOf, type Manifest, type ManifestPart } from './manifest.ts';
import { openOutput, type Output } from './output-directory.ts';

const TEXT = '{"number":1}\n{"number":2}\n';
const sealed: ManifestPart = {
  file: 'part-0-00000.jsonl',
  partition: 0,
  firstOffset: 0,
  lastOffset: 141,
  records: 2,
  maxTimestampMs: 1_700_000_000_000,
  sizeBytes: TEXT.length,
  crc32: crc32(TEXT).toString(16).padStart(8, '0'),
  isSealed: true,
};
const openPart: ManifestPart = {
  ...sealed,
  file: 'part-0-00001.jsonl',
  firstOffset: 142,
  lastOffset: 150,
  isSealed: false,
  openedMs: 1_700_000_000_000,
};
const manifest: Manifest = {
  version: 2,
  topic: { name: 'numbers', id: 'aTopicId' },
  format: 'jsonl',
  complete: false,
  offsets: { 0: 151, 1: 0 },
  parts: [sealed, openPart],
};

async function outputOf(content: Manifest | Buffer = manifest): Promise<Output> {
  const fileSystem = new MemoryFileSystem();
  await fileSystem.makeDirectory('/out');
  for (const { file } of manifest.parts) {
    await fileSystem.createExclusive(`/out/${file}`, Buffer.from(TEXT));
  }
  await fileSystem.createExclusive('/out/part-0-00002.jsonl', Buffer.from('of no commit\n'));
  const bytes = Buffer.isBuffer(content) ? content : manifestBytes(content);
  await fileSystem.createExclusive('/out/manifest.json', bytes);
  const topic = { topic: 'numbers', topicId: 'aTopicId', partitions: 2 };
  const nothing = { compression: undefined, layout: undefined, timeZone: undefined };
  const place = { fileSystem, directory: '/out', topic, format: 'jsonl', columns: undefined };
  return { ...place, ...nothing };
}

async function contentsOf({ fileSystem }: Output): Promise<string[]> {
  const files = await filesBelow(fileSystem, '/out');
  const contents = files.map(async (file) => {
    return `${file} ${(await fileSystem.readFile(`/out/${file}`)).toString('latin1')}`;
  });
  return Promise.all(contents);
}

test('[CONNECT-FILES-3] a manifest is printed alike, however often its parts were', () => {
  const part = { ...openPart, by: 'a\u2028b\n"c"' };
  for (const parts of [[], [sealed], [sealed, part], [sealed, part, sealed]]) {
    const whole = { ...manifest, parts };
    for (let time = 0; time < 2; time++) {
      const text = manifestBytes(whole).toString('utf8');
      const { checksum, ...fields } = JSON.parse(text) as Record<string, unknown>;
      expect(fields).toEqual(whole);
      expect(text).toBe(`${JSON.stringify({ ...whole, checksum }, undefined, 2)}\n`);
    }
  }
});

test('[CONNECT-VERIFY-1] two flips of each byte of a manifest: nothing is touched', async () => {
  const bytes = manifestBytes(manifest);
  for (let at = 0; at < bytes.length; at++) {
    for (const mask of [1 << (at % 8), 3 << (at % 7)]) {
      const flipped = Buffer.from(bytes);
      flipped[at]! ^= mask;
      const output = await outputOf(flipped);
      const before = await contentsOf(output);
      const error = await failureOf(openOutput(output));
      expect([at, mask, (error as ConnectError).code]).toEqual([at, mask, 'OUTPUT_DAMAGED']);
      expect(await contentsOf(output)).toEqual(before);
    }
  }
  const { unlock } = await openOutput(await outputOf());
  await unlock();
}, 60_000);

test('[CONNECT-VERIFY-2] a manifest of version 1 opens, the next one is of version 2', async () => {
  const nothing = { maxTimestampMs: undefined, openedMs: undefined };
  const parts = manifest.parts.map((part) => ({ ...part, ...nothing }));
  const old = { ...manifest, version: 1, parts };
  const output = await outputOf(Buffer.from(`${JSON.stringify(old, undefined, 2)}\n`));
  const { manifest: opened, unlock } = await openOutput(output);
  expect(opened).toEqual({ ...old, version: 2 });
  await writeManifest(output.fileSystem, '/out', opened);
  expect(await manifestIn(output.fileSystem, '/out')).toMatchObject({ version: 2 });
  expect(await readManifest(output.fileSystem, '/out')).toEqual(opened);
  await unlock();
});

test('[CONNECT-VERIFY-2] a manifest of a later version is OUTPUT_MISMATCH', async () => {
  const later = { ...manifest, version: 3, news: [] } as unknown as Manifest;
  for (const content of [manifestBytes(later), Buffer.from(JSON.stringify(later))]) {
    const output = await outputOf(content);
    const before = await contentsOf(output);
    const error = await failureOf(openOutput(output));
    expect(error).toMatchObject({
      code: 'OUTPUT_MISMATCH',
      details: { field: 'version', expected: '2', actual: '3' },
      message: expect.stringContaining('update Millrace') as string,
    });
    expect(await contentsOf(output)).toEqual(before);
  }
});

test('[CONNECT-VERIFY-3] a start reads what it appends to, and cuts no commit', async () => {
  const part = (file: string) => `/out/${file}`;
  const damages: readonly (readonly [string, (bytes: Buffer) => Buffer, RegExp])[] = [
    [openPart.file, (bytes) => Buffer.concat([Buffer.from('['), bytes.subarray(1)]), /checksum/],
    [openPart.file, (bytes) => bytes.subarray(1), /it has 25 bytes/],
    [sealed.file, (bytes) => Buffer.concat([bytes, Buffer.from('\n')]), /it has 27 bytes/],
  ];
  for (const [file, damage, reason] of damages) {
    const output = await outputOf();
    const content = await output.fileSystem.readFile(part(file));
    await output.fileSystem.remove(part(file));
    await output.fileSystem.createExclusive(part(file), damage(content));
    const before = await contentsOf(output);
    const error = await failureOf(openOutput(output));
    expect(error).toMatchObject({ code: 'OUTPUT_DAMAGED', details: { file: part(file) } });
    expect((error as ConnectError).message).toMatch(reason);
    expect(await contentsOf(output)).toEqual(before);
  }
});

test('[CONNECT-VERIFY-4] a manifest whose fields contradict each other is not believed', () => {
  const change = (changes: Partial<ManifestPart>, index = 1): Partial<Manifest> => ({
    parts: manifest.parts.map((part, at) => (at === index ? { ...part, ...changes } : part)),
  });
  const faults: readonly (readonly [object, RegExp])[] = [
    [{ offsets: { 0: 141, 1: 0 } }, /part-0-00000.jsonl goes beyond the offset to read next/],
    [{ offsets: { 1: 0 } }, /goes beyond the offset/],
    [{ offsets: { '00': 151 } }, /has no offsets/],
    [{ offsets: { 0: 151.5 } }, /has no offsets/],
    [{ parts: [sealed, sealed] }, /part-0-00000 is listed twice/],
    [change({ file: 'part-0-00000.jsonl.gz' }), /part-0-00000 is listed twice/],
    [change({ firstOffset: 141 }), /not in the order of its offsets/],
    [change({ isSealed: false }, 0), /follows on a part that is not sealed/],
    [change({ records: 0 }), /has 0 records/],
    [change({ records: 10 }), /has 10 records/],
    [change({ file: 'de/part-0-00001.jsonl' }), /parts is incomplete/],
    [change({ file: '../part-0-00001.jsonl' }), /parts is incomplete/],
    [change({ contentBytes: 4 }), /parts is incomplete/],
    [change({ crc32: sealed.crc32.slice(1) }), /parts is incomplete/],
    [{ complete: true }, /is open, and the output is complete/],
    [{ compression: 'lz4' }, /compression is unknown/],
    [{ compression: 'gzip' }, /parts is incomplete/],
    [{ layout: '' }, /layout is no text/],
    [{ layout: 'a' }, /parts is incomplete/],
    [{ more: 1 }, /a field more/],
    [{ topic: { name: 'numbers', id: 'x', more: 'y' } }, /names no topic/],
    [{ format: undefined }, /names no format/],
    [{ version: '2' }, /version is none/],
  ];
  for (const [changes, reason] of faults)
    expect(faultOf({ ...manifest, ...changes })).toMatch(reason);
  expect(faultOf(manifest)).toBeUndefined();
  // With a layout, directories are side by side: their offsets overlap, their numbers do not.
  const aside = { file: 'b/part-0-00001.jsonl', firstOffset: 3, isSealed: true };
  const parts = [
    { ...sealed, file: 'a/part-0-00000.jsonl' },
    { ...openPart, ...aside },
  ];
  expect(faultOf({ ...manifest, layout: '{key}', parts })).toBeUndefined();
  const twice = [
    { ...parts[0]!, records: 142 },
    { ...parts[1]!, records: 10 },
  ];
  expect(faultOf({ ...manifest, layout: '{key}', parts: twice })).toMatch(/more records than/);
});
