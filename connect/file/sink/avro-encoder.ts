import { createHash } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { avroType, type AvroType } from '../../avro-types.ts';
import type { OutputBuffer } from './output-buffer.ts';
import type { PartEncoder, RowEncoder } from './sink-format.ts';

/** Rows are gathered to blocks of this size; a commit ends a block earlier. */
const BLOCK_BYTES = 64 * 1024;
const MAGIC = Buffer.from('Obj\x01', 'latin1');
const SYNC_BYTES = 16;

/**
 * Makes the encoder of one output.
 *
 * @throws ConnectError PACKAGE_MISSING
 * @throws LogError INVALID_OPTION if avsc refuses the schema.
 */
export async function avroEncoder<Row>(
  schema: string,
  compression: 'deflate' | 'none',
): Promise<RowEncoder<Row>> {
  const type = await avroType(JSON.parse(schema) as unknown, 'write Avro');
  const settings = `${compression} ${createHash('sha256').update(schema).digest('hex')}`;
  return {
    columns: undefined,
    settings,
    part: (file) => {
      // The same one each time the file is continued, and another one in each other file.
      const marker = createHash('sha256').update(`${file}\0${settings}`).digest();
      const sync = marker.subarray(0, SYNC_BYTES);
      return new AvroPart(type, { header: headerOf(schema, compression, sync), sync, compression });
    },
  };
}

interface Container {
  readonly header: Buffer;
  readonly sync: Buffer;
  readonly compression: 'deflate' | 'none';
}

/** One container file: a header, and blocks of rows, each with a length and the sync marker. */
class AvroPart implements PartEncoder<unknown> {
  readonly #type: AvroType;
  readonly #container: Container;
  #block: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES + BLOCK_BYTES / 4);
  #blockBytes = 0;
  #rows = 0;

  constructor(type: AvroType, container: Container) {
    this.#type = type;
    this.#container = container;
  }

  get keptBytes(): number {
    return this.#blockBytes;
  }

  encode(row: unknown, out: OutputBuffer): void {
    let end = this.#type.encode(row, this.#block, this.#blockBytes);
    if (end < 0) {
      const missingBytes = -end;
      const grown = Buffer.allocUnsafeSlow(this.#block.length * 2 + missingBytes);
      this.#block.copy(grown, 0, 0, this.#blockBytes);
      this.#block = grown;
      end = this.#type.encode(row, this.#block, this.#blockBytes);
    }
    this.#blockBytes = end;
    this.#rows++;
    if (end >= BLOCK_BYTES) this.flush(out);
  }

  flush(out: OutputBuffer): void {
    if (this.#rows === 0) return;
    const { header, sync, compression } = this.#container;
    if (out.positionBytes === 0) out.appendBytes(header);
    const rows = this.#block.subarray(0, this.#blockBytes);
    const block = compression === 'none' ? rows : deflateRawSync(rows);
    out.appendBytes(longOf(this.#rows));
    out.appendBytes(longOf(block.length));
    out.appendBytes(block);
    out.appendBytes(sync);
    this.#blockBytes = 0;
    this.#rows = 0;
  }
}

/** What a file begins with: the magic bytes, a map of the schema and the codec, the marker. */
function headerOf(schema: string, compression: 'deflate' | 'none', sync: Buffer): Buffer {
  const codec = compression === 'none' ? 'null' : compression;
  const entries = { 'avro.schema': schema, 'avro.codec': codec };
  const map = Object.entries(entries).flatMap((entry) => entry.flatMap(textOf));
  return Buffer.concat([MAGIC, longOf(2), ...map, longOf(0), sync]);
}

function textOf(text: string): readonly Buffer[] {
  const bytes = Buffer.from(text);
  return [longOf(bytes.length), bytes];
}

/** A count, as Avro's `long`: zigzag, seven bits a byte. */
function longOf(count: number): Buffer {
  const bytes: number[] = [];
  let rest = count * 2;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
