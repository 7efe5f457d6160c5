/** Reads what a file sink has written, with other readers than ours. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { crc32, gunzipSync, inflateRawSync } from 'node:zlib';
import { parquetReadObjects } from 'hyparquet';
import { expect } from 'vitest';
import { decompress } from '../../core/record/compression.ts';
import type { FileSystem } from '../../core/index.ts';
import { OutputBuffer } from '../../connect/file/sink/output-buffer.ts';
import type { Manifest, ManifestPart, SinkFormat } from '../../connect/index.ts';

/** The rows of a part that count. */
export interface OutputPart extends ManifestPart {
  readonly rows: readonly unknown[];
}

/** Reads an output by its manifest; fails if a size or checksum differs. */
export async function readOutput(fileSystem: FileSystem, directory: string): Promise<OutputPart[]> {
  const manifest = await manifestIn(fileSystem, directory);
  const parts: OutputPart[] = [];
  for (const part of manifest?.parts ?? []) {
    const content = await fileSystem.readFile(join(directory, part.file));
    const bytes = content.subarray(0, part.sizeBytes);
    expect(bytes).toHaveLength(part.sizeBytes);
    expect(crc32(bytes).toString(16).padStart(8, '0')).toBe(part.crc32);
    const rows = await rowsOf(manifest!, bytes);
    expect(rows).toHaveLength(part.records);
    parts.push({ ...part, rows });
  }
  return parts;
}

/** The manifest of an output, unchecked. */
export async function manifestIn(
  fileSystem: FileSystem,
  directory: string,
): Promise<Manifest | undefined> {
  const path = join(directory, 'manifest.json');
  if ((await fileSystem.stat(path)) === undefined) return undefined;
  return JSON.parse((await fileSystem.readFile(path)).toString('utf8')) as Manifest;
}

/** The paths of all files below a directory, but for hidden ones, sorted. */
export async function filesBelow(fileSystem: FileSystem, directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const { name, isDirectory } of await fileSystem.list(directory)) {
    if (name.startsWith('.')) continue;
    if (!isDirectory) found.push(name);
    else {
      const inside = await filesBelow(fileSystem, join(directory, name));
      found.push(...inside.map((file) => `${name}/${file}`));
    }
  }
  return found.sort();
}

/** What a format of text writes for each row, without line ends, and before the first one. */
export async function writtenTexts<Row>(
  format: SinkFormat<Row>,
  rows: readonly Row[],
  columns?: readonly string[],
): Promise<{ readonly header: string; readonly texts: readonly string[] }> {
  const part = (await format.encoder(columns)).part('part-0-00000');
  const textAt = (row: Row, positionBytes: number): string => {
    const out = new OutputBuffer(positionBytes);
    part.encode(row, out);
    return out.view().toString('utf8').slice(0, -1);
  };
  const texts = rows.map((row) => textAt(row, 1));
  const header = rows.length === 0 ? '' : textAt(rows[0]!, 0).slice(0, -texts[0]!.length - 1);
  return { header, texts };
}

async function rowsOf({ format, compression }: Manifest, bytes: Buffer): Promise<unknown[]> {
  if (format === 'parquet') {
    const file = Uint8Array.from(bytes).buffer;
    return parquetReadObjects({ file });
  }
  if (format === 'avro') return avroRows(bytes);
  const text = unpacked(compression, bytes).toString('utf8');
  expect(text.endsWith('\n')).toBe(true);
  const lines = text.slice(0, -1).split('\n');
  if (format === 'csv') return lines.slice(1); // behind the header
  return format === 'jsonl' ? lines.map((line) => JSON.parse(line) as unknown) : lines;
}

function unpacked(compression: Manifest['compression'], bytes: Buffer): Buffer {
  if (compression === undefined) return bytes;
  return compression === 'gzip' ? gunzipSync(bytes) : decompress('zstd', bytes);
}

/** What is used of avsc. */
interface Avsc {
  readonly streams: {
    readonly BlockDecoder: new (options: object) => NodeJS.ReadWriteStream;
  };
}

async function avroRows(bytes: Buffer): Promise<unknown[]> {
  const avsc = createRequire(import.meta.url)('avsc') as Avsc;
  const codecs = {
    deflate: (block: Buffer, done: (error: null, unpacked: Buffer) => void) => {
      done(null, inflateRawSync(block));
    },
    null: (block: Buffer, done: (error: null, unpacked: Buffer) => void) => done(null, block),
  };
  const decoder = new avsc.streams.BlockDecoder({ codecs });
  decoder.end(bytes);
  const rows: unknown[] = [];
  for await (const row of decoder) rows.push(row);
  return rows;
}
