import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The files that `golden.py` has written, and what pyarrow reads from them. */
const DIRECTORY = fileURLToPath(new URL('../parquet/golden/', import.meta.url));

/** Names, to be given to the functions below. */
export const GOLDEN_NAMES: readonly string[] = readdirSync(DIRECTORY)
  .filter((name) => name.endsWith('.parquet'))
  .map((name) => name.replace(/\.parquet$/, ''));

/** The content of a golden file. */
export function goldenBytes(name: string): Buffer {
  return readFileSync(`${DIRECTORY}${name}.parquet`);
}

/** Its rows. */
export function goldenRows(name: string): unknown[] {
  return parseGolden(readFileSync(`${DIRECTORY}${name.split('.')[0]!}.json`, 'utf8')) as unknown[];
}

/** Reads values in the form that `golden.py` describes. */
function parseGolden(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const [[key, content] = [], ...more] = Object.entries(value) as [string, unknown][];
    if (more.length > 0) return value;
    switch (key) {
      case '$ms':
        return new Date(content as number);
      case '$bigint':
        return BigInt(content as string);
      case '$bytes':
        return new Uint8Array(Buffer.from(content as string, 'hex'));
      case '$number':
        return Number((content as string).replace('inf', 'Infinity'));
      case '$object':
        return Object.fromEntries(content as [string, unknown][]);
      default:
        return value;
    }
  });
}
