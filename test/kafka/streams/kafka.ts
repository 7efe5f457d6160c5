import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { present } from '../../../core/assert.ts';
import { startJava } from '../java.ts';
import { CLOSING_MS } from './input.ts';
import type { Chain, Input, Run } from './spec.ts';

interface Question {
  readonly chain: Chain;
  /** The ids of differences: Kafka is made to behave as we do. */
  readonly rules: readonly string[];
  readonly inputs: readonly (readonly Input[])[];
}

/** How many processes share the work: one for each core of a small machine. */
const PROCESSES = 2;

/** Kafka Streams' TopologyTestDriver, in Java processes that live as long as this. */
export class KafkaStreams {
  readonly #oracles = Array.from({ length: PROCESSES }, () => new Oracle());

  /** What the topology makes of each of the inputs. One question at a time. */
  async run({ inputs, ...question }: Question): Promise<readonly Run[]> {
    const each = Math.ceil(inputs.length / PROCESSES);
    const parts = this.#oracles.map((oracle, index) => {
      const part = inputs.slice(index * each, (index + 1) * each);
      return part.length === 0 ? Promise.resolve([]) : oracle.run({ ...question, inputs: part });
    });
    return (await Promise.all(parts)).flat();
  }

  async close(): Promise<void> {
    for (const oracle of this.#oracles) await oracle.close();
  }
}

class Oracle {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor() {
    this.#process = startJava('StreamsOracle', '', { stdout: 'pipe', stderr: 'inherit' });
    const lines = createInterface({ input: present(this.#process.stdout, 'stdout is a pipe') });
    this.#answers = lines[Symbol.asyncIterator]();
  }

  async run(question: Question): Promise<readonly Run[]> {
    const asked = { ...question, closingMs: CLOSING_MS };
    this.#process.stdin?.write(`${JSON.stringify(asked)}\n`);
    const line: IteratorResult<string, unknown> = await this.#answers.next();
    if (line.done === true) throw new TypeError('StreamsOracle has ended');
    const answer = JSON.parse(line.value) as { runs: Run[]; error?: string };
    if (answer.error === undefined) return answer.runs;
    throw new TypeError(`Kafka Streams: ${answer.error} at ${JSON.stringify(question.chain)}`);
  }

  /** The process deletes its files and ends when its stdin ends. */
  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.stdin?.end();
    await ended;
  }
}
