import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KafkaBroker } from '../../test/kafka/broker.ts';
import { prepareJava } from '../../test/kafka/jars.ts';
import { startJava, type Java } from '../../test/kafka/java.ts';
import { compile, compiledFolder } from '../../test/kit/compiled.ts';
import { Worker } from './processes.ts';
import type { Task } from './tasks.ts';

const HOME = fileURLToPath(new URL('.', import.meta.url));
const PROGRAM = 'bench/kafka/millrace-process.ts';
/** The application has Java's defaults: on two cores and more, G1 and both compilers. */
const APPLICATION: Java = { home: HOME, options: [] };
/** What Kafka's own `kafka-server-start.sh` gives the broker. */
const BROKER: Java = {
  home: HOME,
  options: [
    ...['-Xmx1G', '-Xms1G', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'],
    ...['-XX:InitiatingHeapOccupancyPercent=35', '-XX:+ExplicitGCInvokesConcurrent'],
  ],
};
/** Deleted topics go at once: the runs share a disk. */
const BROKER_SETTINGS = 'log.segment.delete.delay.ms=1000\n';

/** One of the two that are compared. */
export interface Side {
  readonly name: string;
  /** Of the process beside the application; undefined if there is none. */
  readonly brokerPid: number | undefined;
  /** Starts the process of a task; the side adds where its data are. */
  start(task: Omit<Task, 'directory' | 'bootstrap'>): Worker;
  /** Forgets the data of a run. */
  clean(run: string): void;
  /** Ends what belongs to the side. */
  close(): Promise<void>;
}

/** Millrace: the package and the program compiled, as users run it. */
export async function millrace(place: string): Promise<Side> {
  const folder = compiledFolder();
  await compile(folder, [PROGRAM]);
  const program = join(folder, PROGRAM.replace(/\.ts$/, '.js'));
  const directoryOf = (run: string): string => join(place, `millrace-${run}`);
  return {
    name: 'Millrace',
    brokerPid: undefined,
    start: (task) => {
      const all: Task = { ...task, directory: directoryOf(task.run), bootstrap: '' };
      return new Worker(() =>
        spawn(process.execPath, [program, JSON.stringify(all)], {
          stdio: ['pipe', 'pipe', 'inherit'],
        }),
      );
    },
    clean: (run) => rmSync(directoryOf(run), { recursive: true, force: true }),
    close: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Kafka with one broker, which runs as long as the benchmark, and is warm when it counts. */
export async function kafka(place: string): Promise<Side> {
  const programs = ['Task', 'Clients', 'Workloads', 'Bench'].map((name) => `${HOME}${name}.java`);
  prepareJava(APPLICATION, programs);
  const directory = mkdtempSync(join(place, 'kafka-'));
  const broker = await KafkaBroker.format(join(directory, 'broker'), BROKER, BROKER_SETTINGS);
  await broker.start();
  const directoryOf = (run: string): string => join(directory, run);
  return {
    name: 'Kafka Streams',
    brokerPid: broker.pid,
    start: (task) => {
      const { bootstrap } = broker;
      const all: Task = { ...task, directory: directoryOf(task.run), bootstrap };
      // Kafka's clients warn of what they repeat and of what is usual: shown if the process fails.
      const file = `${directoryOf(task.run)}-${task.step}.log`;
      const stderr = openSync(file, 'a');
      const worker = new Worker(
        () => startJava(APPLICATION, 'Bench', JSON.stringify(all), { stdout: 'pipe', stderr }),
        () => readFileSync(file, 'utf8').slice(-5_000),
      );
      closeSync(stderr);
      return worker;
    },
    clean: (run) => rmSync(directoryOf(run), { recursive: true, force: true }),
    close: () => broker.stop('SIGKILL'), // its directory goes, too
  };
}
