import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { freePorts } from '../broker.ts';
import { startJava, stopJava, TEST_JAVA } from '../java.ts';

/** A distributed worker takes 10 to 20 s. */
const START_MS_MAX = 90_000;
const TRY_MS = 200;

/** A distributed worker of Kafka Connect, alone in its cluster. */
export class KafkaConnectWorker {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, process: ChildProcess) {
    this.url = url;
    this.#process = process;
  }

  /** Resolves when it serves requests. Its output goes to a file in the directory. */
  static async start(directory: string, bootstrap: string): Promise<KafkaConnectWorker> {
    mkdirSync(directory, { recursive: true });
    const [port] = await freePorts();
    const url = `http://127.0.0.1:${port}`;
    const properties = join(directory, 'worker.properties');
    writeFileSync(properties, settings(bootstrap, url));
    const file = join(directory, 'worker.out');
    const output = openSync(file, 'w');
    const streams = { stdout: output, stderr: output };
    const child = startJava(TEST_JAVA, 'ConnectWorker', properties, streams);
    closeSync(output);
    for (let waitedMs = 0; !(await answers(url)); waitedMs += TRY_MS) {
      if (child.exitCode !== null || waitedMs > START_MS_MAX) {
        await stopJava(child, 'SIGKILL');
        throw new TypeError(`Kafka Connect did not start:\n${readFileSync(file, 'utf8')}`);
      }
      await wait(TRY_MS);
    }
    return new KafkaConnectWorker(url, child);
  }

  stop(): Promise<void> {
    return stopJava(this.#process, 'SIGKILL');
  }
}

function settings(bootstrap: string, url: string): string {
  const topics = ['offset', 'config', 'status'].map((name) => {
    return `${name}.storage.topic=connect-${name}\n${name}.storage.replication.factor=1\n`;
  });
  return `bootstrap.servers=${bootstrap}
group.id=conformance
listeners=${url}
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
offset.storage.partitions=1
status.storage.partitions=1
offset.flush.interval.ms=500
plugin.discovery=only_scan
${topics.join('')}`;
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/connectors`)).status === 200;
  } catch {
    return false; // refused: not yet
  }
}
