import { LogError } from '../core/index.ts';
import { StreamsBuilder, type Topology, type TopologyDescription } from '../streams/index.ts';
import { checkJob, sourceOf, type BuildTopology, type Job } from './define-job.ts';

/** A topology of a job, and the application that runs it. */
export interface JobTopology {
  /** Its name in `topologies`; undefined of the only one, `topology`. */
  readonly name: string | undefined;
  /** The job's name, and of several topologies `<job>.<name>`. */
  readonly applicationId: string;
  readonly topology: Topology;
}

/**
 * Builds the topologies of a job, in the order in which they end: one that reads what another one
 * writes is behind it. None if the job is a copy. Nothing runs.
 *
 * @throws LogError INVALID_OPTION if a function is async: what it adds later would be lost; or if
 *   bounded topologies read each other's results, so that none could end first.
 * @throws StreamsError as `StreamsBuilder.build`
 */
export function jobTopologies(job: Job): JobTopology[] {
  checkJob(job, 'jobTopologies');
  const { name, topology, topologies = {} } = job;
  if (topology !== undefined) {
    const built = build('topology', topology);
    return [{ name: undefined, applicationId: name, topology: built }];
  }
  const several = Object.entries(topologies).map(([each, make]): JobTopology => {
    const built = build(`topologies.${each}`, make);
    return { name: each, applicationId: `${name}.${each}`, topology: built };
  });
  return inOrder(job, several);
}

function build(option: string, topology: BuildTopology): Topology {
  const builder = new StreamsBuilder();
  // To TypeScript, a function that returns a promise may stand in for one that returns nothing.
  const make: (builder: StreamsBuilder) => unknown = topology;
  const result = make(builder);
  if (result instanceof Promise) {
    result.catch(() => undefined); // we refuse it, however it settles
    const allowed = 'a function that is not async';
    const message = `defineJob: ${option} must be ${allowed}: what it adds later would be lost`;
    throw new LogError('INVALID_OPTION', message, { option, value: 'async', allowed });
  }
  return builder.build();
}

/** Those that others wait for come first. */
function inOrder(job: Job, topologies: readonly JobTopology[]): JobTopology[] {
  const waiting = new Map(topologies.map((each) => [each, topicsOf(each.topology)]));
  const ordered: JobTopology[] = [];
  while (waiting.size > 0) {
    const next = [...waiting].find(([each, { reads }]) => {
      return [...waiting].every(([other, { writes }]) => {
        return other === each || !writes.some((topic) => reads.includes(topic));
      });
    });
    if (next === undefined) {
      const left = [...waiting.keys()];
      if (!job.sources.every((source) => sourceOf(source).isBounded)) return [...ordered, ...left];
      throw circular(left.map(({ name }) => name ?? ''));
    }
    waiting.delete(next[0]);
    ordered.push(next[0]);
  }
  return ordered;
}

function circular(names: readonly string[]): LogError {
  const [value, allowed] = [names.join(', '), 'topologies that do not read each other in a circle'];
  const message =
    `defineJob: topologies must be ${allowed}, as ${value} do: the input ends, but none of them ` +
    'could end first; make them one';
  return new LogError('INVALID_OPTION', message, { option: 'topologies', value, allowed });
}

function topicsOf(topology: Topology): { readonly reads: string[]; readonly writes: string[] } {
  const { subTopologies } = topology.describe();
  const nodes = subTopologies.flatMap((part) => part.nodes);
  const named = (kind: 'source' | 'sink'): string[] =>
    nodes.filter((node) => node.kind === kind).flatMap(({ topics }) => topics);
  const tables = topology.globalTables.map(({ topic }) => topic.name);
  return { reads: [...named('source'), ...tables], writes: named('sink') };
}

/**
 * The topology of a job, as data and to print. Nothing runs.
 *
 * @example
 * console.log(describeJob(job).toMermaid());
 *
 * @param name which one, if there are several.
 * @throws LogError INVALID_OPTION if the job has no such topology; StreamsError as
 *   `StreamsBuilder.build`
 */
export function describeJob(job: Job, name?: string): TopologyDescription {
  checkJob(job, 'describeJob');
  const topologies = jobTopologies(job);
  const isOnly = name === undefined && topologies.length === 1;
  const found = isOnly ? topologies[0] : topologies.find((each) => each.name === (name ?? ''));
  if (found !== undefined) return found.topology.describe();
  const names = topologies.map((each) => each.name ?? 'the only one, without a name');
  const allowed = names.length === 0 ? 'of a job with a topology' : names.join(' or ');
  const value = name ?? 'left out';
  const message = `describeJob: the topology of ${job.name} must be ${allowed}, not ${value}`;
  throw new LogError('INVALID_OPTION', message, { option: 'name', value, allowed });
}
