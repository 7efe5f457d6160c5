import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { present } from '../../../core/assert.ts';
import { startJava, TEST_JAVA } from '../java.ts';
import { CLOSING_MS } from './input.ts';
import type { Chain, Input, Run } from './spec.ts';

interface Question {
  readonly chain: Chain;
  /** Whether groupings of a stream share a repartition topic. */
  readonly isMerging: boolean | undefined;
  /** The ids of differences: Kafka is made to behave as we do. */
  readonly rules: readonly string[];
  readonly inputs: readonly (readonly Input[])[];
}

/** The operations of Kafka's interfaces: all, and those that topologies have called so far. */
export interface Operations {
  readonly all: readonly string[];
  readonly called: readonly string[];
}

/** How many processes share the work: one for each core of a small machine. */
const PROCESSES = 2;

/** Kafka Streams' TopologyTestDriver, in Java processes that live as long as this. */
export class KafkaStreams {
  readonly #oracles = Array.from({ length: PROCESSES }, () => new Oracle());

  /** What the topology makes of each of the inputs. Questions may be asked at the same time. */
  async run({ inputs, ...question }: Question): Promise<readonly Run[]> {
    const each = Math.ceil(inputs.length / PROCESSES);
    const parts = this.#oracles.map(async (oracle, index) => {
      const part = inputs.slice(index * each, (index + 1) * each);
      if (part.length === 0) return [];
      const asked = { ...question, inputs: part, closingMs: CLOSING_MS };
      return (await oracle.ask<{ runs: Run[] }>(asked)).runs;
    });
    return (await Promise.all(parts)).flat();
  }

  async operations(): Promise<Operations> {
    const asked = this.#oracles.map((oracle) => oracle.ask<Operations>({ operations: true }));
    const [one, ...others] = await Promise.all(asked);
    const called = new Set([one!, ...others].flatMap((each) => each.called));
    return { all: one!.all, called: [...called].sort() };
  }

  async close(): Promise<void> {
    await Promise.all(this.#oracles.map((oracle) => oracle.close()));
  }
}

class Oracle {
  readonly #process: ChildProcess;
  /** Of the questions without an answer, in their order. */
  readonly #waiting: ((line: string | undefined) => void)[] = [];
  #hasEnded = false;

  constructor() {
    const output = { stdout: 'pipe', stderr: 'inherit' } as const;
    this.#process = startJava(TEST_JAVA, 'StreamsOracle', '', output);
    const lines = createInterface({ input: present(this.#process.stdout, 'stdout is a pipe') });
    lines.on('line', (line) => this.#waiting.shift()?.(line));
    lines.on('close', () => {
      this.#hasEnded = true;
      for (const answer of this.#waiting.splice(0)) answer(undefined);
    });
  }

  /** The answer to a question; others may wait for theirs. */
  async ask<T>(question: object): Promise<T> {
    if (this.#hasEnded) throw new TypeError('StreamsOracle has ended');
    const answered = new Promise<string | undefined>((resolve) => this.#waiting.push(resolve));
    this.#process.stdin?.write(`${JSON.stringify(question)}\n`);
    const line = await answered;
    if (line === undefined) throw new TypeError('StreamsOracle has ended');
    const answer = JSON.parse(line) as T & { error?: string };
    if (answer.error === undefined) return answer;
    throw new TypeError(
      `Kafka Streams: ${answer.error} at ${JSON.stringify({ ...question, inputs: [] })}`,
    );
  }

  /** The process deletes its files and ends when its stdin ends. */
  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.stdin?.end();
    await ended;
  }
}
