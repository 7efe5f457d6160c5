import { describeJob, jobTopologies, type Job } from '../job/index.ts';
import type { TopologyDescription } from '../streams/index.ts';
import { loadJob } from './load-job.ts';

/** How each format is printed. */
export const FORMATS = {
  text: (description) => description.toString(),
  mermaid: (description) => description.toMermaid(),
  dot: (description) => description.toDot(),
  json: (description) => `${description.toJson()}\n`,
} as const satisfies Record<string, (description: TopologyDescription) => string>;

type Format = keyof typeof FORMATS;

export const DESCRIPTION_FORMATS = Object.keys(FORMATS);

/** Prints the topology of the job in a file; nothing runs, and no log is opened. */
export async function describeCommand(
  file: string,
  { format, topology }: { readonly format: Format; readonly topology?: string },
): Promise<void> {
  process.stdout.write(descriptionOf(await loadJob(file), format, topology));
}

/** All topologies of a job, or the one of a name; of a copy, what it connects. */
export function descriptionOf(job: Job, format: Format, name?: string): string {
  const topologies = jobTopologies(job);
  if (topologies.length === 0 && name === undefined) return COPY_FORMATS[format](job);
  // Two pictures in one text are none.
  const isOne = name !== undefined || topologies.length === 1 || format in { mermaid: 1, dot: 1 };
  if (isOne) return FORMATS[format](describeJob(job, name));
  const all = topologies.map((each) => ({ ...each, description: each.topology.describe() }));
  if (format === 'json') {
    const byName = Object.fromEntries<TopologyDescription>(
      all.map(({ name: each, description }) => [each ?? '', description]),
    );
    return `${JSON.stringify(byName, undefined, 2)}\n`;
  }
  const texts = all.map(({ name: each, applicationId, description }) => {
    return `${each ?? ''} (application ${applicationId})\n${description.toString()}`;
  });
  return texts.join('\n');
}

/** A connector of a copy. */
interface End {
  readonly kind: 'source' | 'sink';
  readonly name: string;
  readonly topics: readonly string[];
}

/** How a job without a topology is printed. */
const COPY_FORMATS: Readonly<Record<Format, (job: Job) => string>> = {
  text: (job) => {
    const lines = endsOf(job).map(({ kind, name, topics }) => {
      const label = kind === 'source' ? 'Source' : 'Sink';
      return `   ${label}: ${name} (topics: [${topics.join(', ')}])`;
    });
    return [`Job ${job.name} copies, without a topology:`, ...lines, ''].join('\n');
  },
  mermaid: (job) => {
    const lines = arrowsOf(job).map(
      ([from, to]) => `  ${from.id}["${from.text}"] --> ${to.id}["${to.text}"]`,
    );
    return ['flowchart TD', ...lines, ''].join('\n');
  },
  dot: (job) => {
    const lines = arrowsOf(job).map(([from, to]) => `  "${from.text}" -> "${to.text}";`);
    return ['digraph topology {', ...lines, '}', ''].join('\n');
  },
  json: (job) => `${JSON.stringify({ job: job.name, connectors: endsOf(job) }, undefined, 2)}\n`,
};

function endsOf({ sources, sinks }: Job): End[] {
  const end = (kind: End['kind'], { name, topics }: EndConnector): End => {
    return { kind, name, topics: topics.map((topic) => topic.name) };
  };
  return [
    ...sources.map((each) => end('source', 'source' in each ? each.source : each)),
    ...sinks.map((each) => end('sink', 'sink' in each ? each.sink : each)),
  ];
}

interface EndConnector {
  readonly name: string;
  readonly topics: readonly { readonly name: string }[];
}

/** A box of a drawing. */
interface Box {
  readonly id: string;
  readonly text: string;
}

/** The ways of records, from sources to topics and from those to sinks. */
function arrowsOf(job: Job): [from: Box, to: Box][] {
  const boxes = new Map<string, Box>();
  const box = (text: string): Box => {
    const known = boxes.get(text) ?? { id: `n${boxes.size}`, text };
    boxes.set(text, known);
    return known;
  };
  return endsOf(job).flatMap(({ kind, name, topics }) => {
    const end = box(`${kind} ${name}`);
    return topics.map((topic): [Box, Box] => {
      const other = box(`topic ${topic}`);
      return kind === 'source' ? [end, other] : [other, end];
    });
  });
}
