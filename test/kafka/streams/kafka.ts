import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { present } from '../../../core/assert.ts';
import { startJava, stopJava } from '../java.ts';
import { CLOSING_MS } from './input.ts';
import type { Chain, Input, Run } from './spec.ts';

interface Question {
  readonly chain: Chain;
  /** The ids of differences: Kafka is made to behave as we do. */
  readonly rules: readonly string[];
  readonly inputs: readonly (readonly Input[])[];
}

/** Kafka Streams' TopologyTestDriver, in one Java process for all topologies. */
export class KafkaStreams {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor() {
    this.#process = startJava('StreamsOracle', '', { stdout: 'pipe', stderr: 'inherit' });
    const lines = createInterface({ input: present(this.#process.stdout, 'stdout is a pipe') });
    this.#answers = lines[Symbol.asyncIterator]();
  }

  /** What the topology makes of each of the inputs. One question at a time. */
  async run(question: Question): Promise<readonly Run[]> {
    const asked = { ...question, closingMs: CLOSING_MS };
    this.#process.stdin?.write(`${JSON.stringify(asked)}\n`);
    const line: IteratorResult<string, unknown> = await this.#answers.next();
    if (line.done === true) throw new TypeError('StreamsOracle has ended');
    const answer = JSON.parse(line.value) as { runs: Run[]; error?: string };
    if (answer.error === undefined) return answer.runs;
    throw new TypeError(`Kafka Streams: ${answer.error} at ${JSON.stringify(question.chain)}`);
  }

  close(): Promise<void> {
    return stopJava(this.#process, 'SIGKILL');
  }
}
