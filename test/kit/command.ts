import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { compiledProgram } from './compiled.ts';

/** The program of the command, for Node. */
export const COMMAND = compiledProgram('cli/main.ts');

/** How a command ended, and what it printed. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `millrace` in a directory until it ends. */
export function millrace(cwd: string, ...args: readonly string[]): Ended {
  return millraceAs(undefined, cwd, args);
}

/** Runs `millrace` as the user with this id; by default as the user who runs the tests. */
export function millraceAs(uid: number | undefined, cwd: string, args: readonly string[]): Ended {
  const options = { cwd, encoding: 'utf8', ...(uid !== undefined && { uid }) } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], options);
  return { code: status, out: stdout, err: stderr };
}

/** A running `millrace`: in one process, so that a signal reaches only it. */
export interface Running {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  /** The exit code, after it has ended and its output is read. */
  readonly ended: Promise<number | null>;
}

/** Starts `millrace` in a directory. */
export function startMillrace(cwd: string, ...args: readonly string[]): Running {
  const child = spawn(process.execPath, [COMMAND, ...args], { cwd });
  let [out, err] = ['', ''];
  child.stdout.on('data', (text) => (out += String(text)));
  child.stderr.on('data', (text) => (err += String(text)));
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { child, out: () => out, err: () => err, ended };
}
