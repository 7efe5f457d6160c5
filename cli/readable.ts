/** Decodes bytes: JSON to its value, text to a string, and anything else to hexadecimal. */
export function readable(bytes: Buffer | null): unknown {
  if (bytes === null) return null;
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
