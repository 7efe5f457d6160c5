import { LogError } from '../../core/errors.ts';

/** A value that the compiler would refuse. */
export const wrong = (value: unknown): never => value as never;

/** Runs the calls in order; returns the outcome of each, as a readable snapshot. */
export async function outcomes(calls: Readonly<Record<string, () => unknown>>): Promise<string> {
  const lines: string[] = [];
  for (const [name, call] of Object.entries(calls)) {
    lines.push(name, ...wrapped(await outcome(call)));
  }
  return `\n${lines.join('\n')}\n`;
}

/** Wraps at 90 characters; only names are longer. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = ' ';
  for (const word of text.split(' ')) {
    if (line.length + word.length > 89) {
      lines.push(line);
      line = '   ';
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

async function outcome(call: () => unknown): Promise<string> {
  try {
    await call();
    return 'fine';
  } catch (error) {
    return error instanceof LogError
      ? `${error.code}: ${error.message}`
      : `NOT CODED: ${String(error)}`;
  }
}
