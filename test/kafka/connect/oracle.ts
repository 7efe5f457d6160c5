import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { present } from '../../../core/assert.ts';
import { startJava, TEST_JAVA } from '../java.ts';

/** What Kafka Connect is asked about each of some values. */
export interface Question {
  readonly ask: 'write' | 'read' | 'writeHeader' | 'readHeader' | 'transform' | 'predicate';
  /** Of a converter, transform or predicate. */
  readonly class?: string;
  readonly config?: Readonly<Record<string, string>>;
  /** In the JSON of Kafka Connect; for `write`. */
  readonly schema?: unknown;
  readonly values: readonly unknown[];
}

/** True of an answer to a value that Kafka Connect refuses. */
export function hasFailed(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'failed' in answer;
}

/** Kafka Connect's converters, transforms and predicates, in a Java process. */
export class KafkaConnect {
  readonly #process: ChildProcess;
  /** Of the questions without an answer, in their order. */
  readonly #waiting: ((line: string | undefined) => void)[] = [];
  #hasEnded = false;

  constructor() {
    const output = { stdout: 'pipe', stderr: 'inherit' } as const;
    this.#process = startJava(TEST_JAVA, 'ConnectOracle', '', output);
    const lines = createInterface({ input: present(this.#process.stdout, 'stdout is a pipe') });
    lines.on('line', (line) => this.#waiting.shift()?.(line));
    lines.on('close', () => {
      this.#hasEnded = true;
      for (const answer of this.#waiting.splice(0)) answer(undefined);
    });
  }

  /** The answers, by value. */
  async ask(question: Question): Promise<readonly unknown[]> {
    if (this.#hasEnded) throw new TypeError('ConnectOracle has ended');
    const answered = new Promise<string | undefined>((resolve) => this.#waiting.push(resolve));
    this.#process.stdin?.write(`${JSON.stringify({ config: {}, ...question })}\n`);
    const line = await answered;
    if (line === undefined) throw new TypeError('ConnectOracle has ended');
    const answer = JSON.parse(line) as { answers: unknown[]; error?: string };
    if (answer.error === undefined) return answer.answers;
    throw new TypeError(`Kafka Connect: ${answer.error}`);
  }

  /** The process ends when its stdin ends. */
  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.stdin?.end();
    await ended;
  }
}
