import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The directory of these tests. */
export const HOME = fileURLToPath(new URL('.', import.meta.url));

/** Kafka's jars and compiled programs, and how Java runs them. */
export interface Java {
  /** Has `pom.xml`. Maven copies the jars into `lib/` there. */
  readonly home: string;
  /** The options of each process. */
  readonly options: readonly string[];
}

/** Java that starts fast: each process lives for seconds. */
export const TEST_JAVA: Java = {
  home: HOME,
  options: ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xmx400m'],
};

/** Where the jars are; git ignores it. */
export function jarsOf({ home }: Java): string {
  return `${home}lib`;
}

/** Where the compiled programs are; git ignores it. */
export function classesOf({ home }: Java): string {
  return `${home}lib-classes`;
}

function argumentsOf(java: Java, main: string, rest: readonly string[]): string[] {
  const logging = `-Dlog4j2.configurationFile=${HOME}log4j2.properties`;
  const path = `${classesOf(java)}:${jarsOf(java)}/*`;
  return [...java.options, logging, '-cp', path, main, ...rest];
}

/** Runs a Java class, or a `.java` file, until it ends; returns all its output, stderr last. */
export async function runJava(
  java: Java,
  main: string,
  ...rest: readonly string[]
): Promise<string> {
  const run = promisify(execFile);
  const limits = { maxBuffer: 256 * 1024 * 1024 };
  const { stdout, stderr } = await run('java', argumentsOf(java, main, rest), limits);
  return stdout + stderr;
}

/**
 * Starts one of our programs, by its `.java` file or its compiled class. They end when their stdin
 * ends, so none outlives this process, however it ends.
 */
export function startJava(
  java: Java,
  program: string,
  argument: string,
  output: { readonly stdout: 'pipe' | number; readonly stderr: 'inherit' | number },
): ChildProcess {
  const stdio = ['pipe', output.stdout, output.stderr] as const;
  const main = program.endsWith('.java') ? `${java.home}${program}` : program;
  return spawn('java', argumentsOf(java, main, [argument]), { stdio: [...stdio] });
}

/** Sends a signal and waits for the end of the process. */
export async function stopJava(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}
