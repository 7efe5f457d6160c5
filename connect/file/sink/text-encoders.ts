import { isUtf8 } from 'node:buffer';
import { stringifyJson } from '../../../core/internal.ts';
import { JsonValueCheck } from '../json-check.ts';
import type { OutputBuffer } from './output-buffer.ts';
import type { PartEncoder, RowEncoder } from './sink-format.ts';

const LF = 10;
const CR = 13;

/** Writes values as JSON lines. */
export class JsonlEncoder implements RowEncoder<unknown>, PartEncoder<unknown> {
  readonly columns: undefined = undefined;
  readonly #check = new JsonValueCheck();

  isLine(source: Buffer, start: number, end: number): boolean {
    return this.#check.isLine(source, start, end);
  }

  part(): this {
    return this;
  }

  encode(row: unknown, out: OutputBuffer): void {
    const text = stringifyJson(row);
    if (text === undefined) throw new TypeError(`${typeof row} has no JSON form`);
    out.appendLine(text);
  }
}

/** Writes text, or the bytes of text, as lines. */
export const lineEncoder: RowEncoder<string | Uint8Array> & PartEncoder<string | Uint8Array> = {
  columns: undefined,
  isLine: isTextLine,
  part: () => lineEncoder,
  encode(row, out) {
    if (typeof row === 'string') appendText(row, out);
    else if (row instanceof Uint8Array) appendBytes(row, out);
    else throw new TypeError(`a line is text or bytes, not ${kindOf(row)}`);
  },
};

function appendText(row: string, out: OutputBuffer): void {
  if (row.includes('\n') || row.endsWith('\r')) throw notOneLine();
  if (!isWellFormed(row)) throw new TypeError('it holds half a surrogate pair, which is no text');
  out.appendLine(row);
}

/** Bytes that are only passed on are checked, not decoded. */
function appendBytes(row: Uint8Array, out: OutputBuffer): void {
  if (row.includes(LF) || row.at(-1) === CR) throw notOneLine();
  if (!isUtf8(row)) throw new TypeError('its bytes are not UTF-8');
  out.appendBytes(row);
  out.appendText('\n');
}

/** True for UTF-8 without a line end. */
function isTextLine(source: Buffer, start: number, end: number): boolean {
  let bits = 0;
  for (let at = start; at < end; at++) {
    const byte = source[at]!;
    if (byte === LF) return false;
    bits |= byte;
  }
  if (end > start && source[end - 1] === CR) return false;
  return bits < 0x80 || isUtf8(source.subarray(start, end));
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : typeof value;
}

function notOneLine(): TypeError {
  return new TypeError('it holds a line end, so it would be read back as other lines');
}

/** False for text with half a surrogate pair: UTF-8 has no form for it. */
export function isWellFormed(text: string): boolean {
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed(); // not in es2023's types
}
