import { json, string, topic } from '../../core/index.ts';
import { BUILT_IN_PLUGINS, type ConfigIssue } from '../../connect/index.ts';
import { jobTopologies, makeJob, type Job } from '../../job/index.ts';
import { TopologyTestDriver } from '../../streams/testing/index.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A record of a test: its value and time, and its key, by default `k`. */
export type Given = readonly [value: Fields, timestampMs?: number, key?: string | null];

const input = topic('in', { key: string(), value: json<Fields>() });
const rows = topic('rows', { key: string(), value: json<Fields>() });
const output = topic('out', { key: string(), value: json<Fields>() });

function source(name: string): object {
  const config = { path: `${name}.jsonl`, format: 'jsonl', topic: name };
  return { name: `${name}-source`, connector: 'file-source', config };
}

/** The content of a job file with these steps between the topics `in` and `out`. */
export function jobContent(steps: unknown): object {
  const config = { path: 'out', format: 'jsonl', topic: 'out' };
  return {
    ...{ name: 'job', sources: [source('in'), source('rows')] },
    topology: [{ from: 'in', steps, to: 'out' }],
    sinks: [{ name: 'out-sink', connector: 'file-sink', config }],
  };
}

/** Makes the job of a content; fails with its mistakes. */
export async function jobOf(content: unknown): Promise<Job> {
  const made = await makeJob(content, { plugins: BUILT_IN_PLUGINS });
  if ('job' in made) return made.job;
  throw new TypeError(JSON.stringify(made.issues, undefined, 2));
}

/** The mistakes in a content. */
export async function issuesOf(content: unknown): Promise<readonly ConfigIssue[]> {
  const made = await makeJob(content, { plugins: BUILT_IN_PLUGINS });
  return 'issues' in made ? made.issues : [];
}

/** Drives records through steps; the results as `key value`. `table` fills the topic `rows`. */
export async function throughSteps(
  steps: unknown,
  records: readonly Given[],
  table: Readonly<Record<string, Fields>> = {},
): Promise<string[]> {
  const [built] = jobTopologies(await jobOf(jobContent(steps)));
  const driver = new TopologyTestDriver(built!.topology);
  try {
    for (const [key, value] of Object.entries(table)) driver.inputTopic(rows).pipe({ key, value });
    for (const [value, timestampMs = 0, key = 'k'] of records) {
      driver.inputTopic(input).pipe({ key, value, timestampMs });
    }
    driver.endOfInput();
    return driver
      .outputTopic(output)
      .readAll()
      .map((each) => {
        return `${each.key} ${JSON.stringify(each.value)}`;
      });
  } finally {
    driver.close();
  }
}
