import type { ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { runJava, startJava, stopJava, TEST_JAVA, type Java } from './java.ts';

/** Longer than a broker takes on a busy machine: 3 to 5 s. */
const START_MS_MAX = 60_000;
const TRY_MS = 100;

/** One Kafka broker, its own controller, in a directory of its own. */
export class KafkaBroker {
  /** The directory of its partitions. */
  readonly data: string;
  readonly bootstrap: string;
  readonly #directory: string;
  readonly #port: number;
  readonly #java: Java;
  #process: ChildProcess | undefined;
  /** The number of starts. */
  #lives = 0;

  private constructor(directory: string, port: number, java: Java) {
    this.#directory = directory;
    this.#port = port;
    this.#java = java;
    this.data = join(directory, 'data');
    this.bootstrap = `127.0.0.1:${port}`;
  }

  /** Formats a directory for a broker, with more lines of settings; `start` runs it. */
  static async format(directory: string, java = TEST_JAVA, more = ''): Promise<KafkaBroker> {
    mkdirSync(directory, { recursive: true });
    const [port, controllerPort] = await freePorts();
    const broker = new KafkaBroker(directory, port, java);
    const properties = broker.#properties;
    writeFileSync(properties, settings({ port, controllerPort, data: broker.data }) + more);
    const id = Buffer.from('kafka and millrace').toString('base64url').slice(0, 22);
    await runJava(java, 'kafka.tools.StorageTool', 'format', '-t', id, '-c', properties);
    return broker;
  }

  /** Resolves when it answers. Its output goes to a file in its directory, one per start. */
  async start(): Promise<void> {
    this.#lives++;
    const output = openSync(this.#output, 'w');
    const child = startJava(this.#java, 'Broker', this.#properties, {
      stdout: output,
      stderr: output,
    });
    closeSync(output);
    this.#process = child;
    for (let waitedMs = 0; !(await answers(this.#port)); waitedMs += TRY_MS) {
      if (child.exitCode !== null || waitedMs > START_MS_MAX) {
        throw new TypeError(`the broker did not start:\n${readFileSync(this.#output, 'utf8')}`);
      }
      await wait(TRY_MS);
    }
  }

  /** Of its process, while it runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** SIGTERM shuts it down cleanly, SIGKILL crashes it. */
  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#process !== undefined) await stopJava(this.#process, signal);
    this.#process = undefined;
  }

  /** Its complaints since the start: errors, and warnings about stored data. */
  complaints(): string[] {
    const lines = readFileSync(this.#output, 'utf8').split('\n');
    const kept =
      /\w*(Log|Index|Epoch|Checkpoint|Partition|Producer|Group|Transaction|Coordinator)\w*/;
    const complaint = new RegExp(` (ERROR|FATAL) | WARN ${kept.source}: `);
    return lines.filter((line) => complaint.test(line));
  }

  get #properties(): string {
    return join(this.#directory, 'server.properties');
  }

  get #output(): string {
    return join(this.#directory, `broker-${this.#lives}.out`);
  }
}

interface Settings {
  readonly port: number;
  readonly controllerPort: number;
  readonly data: string;
}

/** As small as a broker can be; records of any age stay, and compaction runs as soon as due. */
function settings({ port, controllerPort, data }: Settings): string {
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=${data}
log.retention.ms=-1
log.cleaner.backoff.ms=100
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
`;
}

/** Two unused ports. */
export async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()];
  const ports: number[] = [];
  for (const server of servers) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ports.push((server.address() as { port: number }).port);
  }
  for (const server of servers) server.close();
  return [ports[0] ?? 0, ports[1] ?? 0];
}

/** True if a process listens on the port. */
async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // refused: not yet
  } finally {
    socket.destroy();
  }
}
