import { spawn } from 'node:child_process';
import { compiledProgram } from './compiled.ts';

/** When to kill a child process: this long after its spawn, or after its first output. */
export interface Kill {
  readonly afterMs: number;
  readonly since: 'spawn' | 'output';
}

/** How a child process ended. */
export interface Ended {
  /** `SIGKILL`, `0`, or another exit code with stderr. (A torn end is only a warning.) */
  readonly how: string;
  /** All that it wrote to stdout. */
  readonly output: string;
}

/**
 * Runs a program, given by its path from the root, in a process of its own until it ends or SIGKILL
 * ends it.
 */
export function runChild(program: string, args: readonly string[], kill?: Kill): Promise<Ended> {
  const command = [compiledProgram(program), ...args];
  const child = spawn(process.execPath, command, { stdio: 'pipe' });
  let timer: NodeJS.Timeout | undefined;
  const killLater = (): void => {
    if (kill !== undefined) timer ??= setTimeout(() => child.kill('SIGKILL'), kill.afterMs);
  };
  if (kill?.since === 'spawn') killLater();
  let [output, errors] = ['', ''];
  child.stdout.on('data', (text) => {
    output += String(text);
    killLater();
  });
  child.stderr.on('data', (text) => (errors += String(text)));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ how: signal ?? (code === 0 ? '0' : `${code} ${errors}`), output });
    });
  });
}
