import type { Clock, Logger, TopicPattern } from '../../core/index.ts';
import type { SourceNode, TopicSpec, TopologyNode } from '../topology/node.ts';
import { checkTopics, makeTopology, type Topology } from '../topology/topology.ts';
import { internalTopics } from './topics.ts';
import { fieldsOf } from './log-fields.ts';

/** True if the topics that it reads are not all known before it starts. */
export function hasPatterns({ nodes }: Topology): boolean {
  return nodes.some((node) => node.kind === 'source' && node.pattern !== undefined);
}

/**
 * The topology in which each source with a pattern reads the topics of these that match
 * [OP-TOPOLOGY-12]: never those that the application makes for itself.
 *
 * @throws StreamsError TOPOLOGY_INVALID if another source reads such a topic.
 */
export function withMatchingTopics(
  topology: Topology,
  applicationId: string,
  existing: readonly string[],
): Topology {
  if (!hasPatterns(topology)) return topology;
  const nodes = matchedNodes(topology, applicationId, existing);
  checkTopics(nodes);
  return makeTopology({ ...topology, nodes });
}

function matchedNodes(
  topology: Topology,
  applicationId: string,
  existing: readonly string[],
): TopologyNode[] {
  const internal = internalTopics(applicationId, topology);
  const candidates = existing.filter((name) => !internal.has(name)).sort();
  return topology.nodes.map((node) => {
    if (node.kind !== 'source' || node.pattern === undefined) return node;
    return { ...node, topics: matching(node.pattern, candidates) };
  });
}

function matching(
  { pattern, key, value }: TopicPattern<unknown, unknown>,
  candidates: readonly string[],
): TopicSpec[] {
  return candidates
    .filter((name) => pattern.test(name))
    .map((name) => ({ name, key, value, partitions: undefined, config: {} }));
}

/** The topics that sources with a pattern read, by name. */
export function matchedTopics({ nodes }: Pick<Topology, 'nodes'>): string[] {
  const sources = nodes.filter((node): node is SourceNode => node.kind === 'source');
  return sources.flatMap(({ pattern, topics }) => {
    return pattern === undefined ? [] : topics.map(({ name }) => name);
  });
}

/** The topics that they would read now, by name. */
export function matchingTopics(
  topology: Topology,
  applicationId: string,
  existing: readonly string[],
): string[] {
  return matchedTopics({ nodes: matchedNodes(topology, applicationId, existing) });
}

/** What a watch looks at, and whom it tells. */
export interface TopicWatchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly everyMs: number;
  /** True if other topics match than those that are read. */
  readonly hasChanged: () => Promise<boolean>;
  readonly changed: () => void;
}

/** Looks from time to time whether other topics match; ends when they do, or when stopped. */
export class TopicWatch {
  readonly #options: TopicWatchOptions;
  #timer: { cancel(): void } | undefined;
  #isStopped = false;

  constructor(options: TopicWatchOptions) {
    this.#options = options;
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    const { clock, everyMs } = this.#options;
    this.#timer = clock.setBackgroundTimer(everyMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const { hasChanged, changed, logger } = this.#options;
    let isOther = false;
    try {
      isOther = await hasChanged();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const message = 'could not look for topics that match a pattern, and will try again';
      logger.warn(`${message}: ${reason}`, fieldsOf(error));
    }
    if (this.#isStopped) return;
    if (isOther) changed();
    else this.#schedule();
  }
}
