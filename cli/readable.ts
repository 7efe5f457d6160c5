import { asBuffer } from '../core/internal.ts';

/** Decodes bytes: JSON to its value, text to a string, and anything else to hexadecimal. */
export function readable(content: Uint8Array | null): unknown {
  if (content === null) return null;
  const bytes = asBuffer(content);
  const text = bytes.toString('utf8');
  const isText = !text.includes('\ufffd') && !/[\0-\x08\x0e-\x1f]/.test(text);
  if (!isText) return `0x${bytes.toString('hex')}`;
  try {
    return /^\s*[[{"]/.test(text) ? (JSON.parse(text) as unknown) : text;
  } catch {
    return text; // it only starts like JSON
  }
}

/** A decoded value in one line. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The time of a record. */
export function timeText(timestampMs: number): string {
  return timestampMs < 0 ? 'no time' : new Date(timestampMs).toISOString();
}
