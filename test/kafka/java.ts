import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The directory of these tests. */
export const HOME = fileURLToPath(new URL('.', import.meta.url));
/** Kafka's jars, which `setup.ts` copies here. */
export const JARS = `${HOME}lib`;

/** The compiled programs of `streams/`. */
export const CLASSES = `${HOME}lib-classes`;

/** Java that starts fast: each process lives for seconds. */
function argumentsOf(main: string, rest: readonly string[]): string[] {
  const fast = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xmx400m'];
  const logging = `-Dlog4j2.configurationFile=${HOME}log4j2.properties`;
  return [...fast, logging, '-cp', `${CLASSES}:${JARS}/*`, main, ...rest];
}

/** Runs a Java class, or a `.java` file, until it ends; returns all its output, stderr last. */
export async function runJava(main: string, ...rest: readonly string[]): Promise<string> {
  const run = promisify(execFile);
  const limits = { maxBuffer: 256 * 1024 * 1024 };
  const { stdout, stderr } = await run('java', argumentsOf(main, rest), limits);
  return stdout + stderr;
}

/**
 * Starts one of the programs here, by its `.java` file or its compiled class. They end when their
 * stdin ends, so none outlives this process, however it ends.
 */
export function startJava(
  program: string,
  argument: string,
  output: { readonly stdout: 'pipe' | number; readonly stderr: 'inherit' | number },
): ChildProcess {
  const stdio = ['pipe', output.stdout, output.stderr] as const;
  const main = program.endsWith('.java') ? `${HOME}${program}` : program;
  return spawn('java', argumentsOf(main, [argument]), { stdio: [...stdio] });
}

/** Sends a signal and waits for the end of the process. */
export async function stopJava(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}
