import type { TopologyNode } from '../topology/node.ts';
import type { ErrorAction, ErrorHandler, ErrorStage } from '../topology/record-errors.ts';
import type { Topology } from '../topology/topology.ts';
import { StreamsError } from '../errors.ts';

/** What an application does about failures where its nodes say nothing else. */
export interface ErrorSettings {
  readonly applicationId: string;
  readonly onDeserializationError: ErrorAction | ErrorHandler;
  readonly onProcessingError: ErrorAction | ErrorHandler;
  readonly onProductionError: ErrorAction | ErrorHandler;
  readonly deadLetterTopic?: string | undefined;
}

/** What a node does about the failures of one stage. */
export interface StagePolicy {
  readonly onError: ErrorAction | ErrorHandler;
  readonly deadLetterTopic: string;
}

const SETTING = {
  deserialization: 'onDeserializationError',
  processing: 'onProcessingError',
  production: 'onProductionError',
} as const satisfies Record<ErrorStage, keyof ErrorSettings>;

/** The stages at which a node of each kind can fail: a repartition node writes and reads. */
const STAGES: Readonly<Record<TopologyNode['kind'], readonly ErrorStage[]>> = {
  source: ['deserialization'],
  operator: ['processing'],
  sink: ['production'],
  repartition: ['production', 'deserialization'],
};

/** What each node of a topology does about failures. */
export class ErrorPolicies {
  readonly #settings: ErrorSettings;
  readonly #nodes: ReadonlyMap<string, TopologyNode>;

  constructor({ nodes }: Pick<Topology, 'nodes'>, settings: ErrorSettings) {
    this.#settings = settings;
    this.#nodes = new Map(nodes.map((node) => [node.name, node]));
  }

  of(node: string, stage: ErrorStage): StagePolicy {
    const settings = this.#settings;
    const { onError = settings[SETTING[stage]], deadLetterTopic = this.#ownTopic } =
      this.#nodes.get(node)?.errors ?? {};
    return { onError, deadLetterTopic };
  }

  /** True if a function that fails at this node may have changed what the node keeps. */
  keepsInPlace(name: string): boolean {
    const node = this.#nodes.get(name);
    return node?.kind === 'operator' && node.operator.careful !== undefined;
  }

  /** The nodes that write to a store. */
  nodesOf(store: string): string[] {
    return [...this.#nodes.values()].flatMap((node) => {
      return node.kind === 'operator' && node.stores.includes(store) ? [node.name] : [];
    });
  }

  /** True if a record that an operator cannot process may become a dead letter, or be looked at. */
  needsSource(name: string): boolean {
    const { onError } = this.of(name, 'processing');
    const last = typeof onError === 'object' ? onError.then : onError;
    return last === 'deadLetter' || typeof last === 'function';
  }

  /** True if a node that writes to this topic may drop what it cannot write. */
  mayDropAt(topic: string): boolean {
    for (const node of this.#nodes.values()) {
      const isSink = node.kind === 'sink' && node.topic.name === topic;
      if (isSink && this.of(node.name, 'production').onError !== 'fail') return true;
    }
    return false;
  }

  /** The topics that may get dead letters: a function may send any record there. */
  get usedTopics(): string[] {
    const used = new Set<string>();
    for (const { name, kind } of this.#nodes.values()) {
      for (const stage of STAGES[kind]) {
        const { onError, deadLetterTopic } = this.of(name, stage);
        const last = typeof onError === 'object' ? onError.then : onError;
        if (last === 'deadLetter' || typeof last === 'function') used.add(deadLetterTopic);
      }
    }
    return [...used];
  }

  /** All topics for dead letters, used or not: no pattern matches them. */
  get topics(): string[] {
    const own = [...this.#nodes.values()].flatMap(({ errors }) => errors?.deadLetterTopic ?? []);
    return [...new Set([this.#ownTopic, ...own])];
  }

  /**
   * Checks that the topology reads none of them: a dead letter that fails would make another one.
   *
   * @throws StreamsError TOPOLOGY_INVALID
   */
  check(): void {
    for (const topic of this.usedTopics) {
      for (const node of this.#nodes.values()) {
        if (node.kind !== 'source' || node.topics.every(({ name }) => name !== topic)) continue;
        const reason =
          `${node.name} reads ${topic}, to which dead letters are written: one that fails again ` +
          'would go round in circles; read them in an application of its own';
        throw new StreamsError('TOPOLOGY_INVALID', reason, { reason });
      }
    }
  }

  get #ownTopic(): string {
    const { applicationId, deadLetterTopic = `${applicationId}-dead-letters` } = this.#settings;
    return deadLetterTopic;
  }
}
