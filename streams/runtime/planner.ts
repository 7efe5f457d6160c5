import type { Log, TopicMetadata } from '../../core/index.ts';
import type { Topology } from '../topology/topology.ts';
import { ErrorPolicies } from './error-policies.ts';
import type { StreamsSettings } from './options.ts';
import { makePlan, type Plan } from './plan.ts';
import {
  hasPatterns,
  matchedTopics,
  matchingTopics,
  TopicWatch,
  withMatchingTopics,
} from './topic-patterns.ts';
import { isMadeInternal, topicHandle } from './topics.ts';

/**
 * Plans an application, and plans it again when other topics match its patterns, or those that it
 * reads have more partitions.
 */
export class Planner {
  readonly #log: Log;
  readonly #topology: Topology;
  readonly #settings: StreamsSettings;
  readonly #policies: ErrorPolicies;
  /** The last plan; undefined before the first. */
  #plan: Plan | undefined;
  #isOld = false;
  /** Of the topics that it reads, as of the last plan. */
  #partitions: ReadonlyMap<string, number> = new Map();

  constructor(log: Log, topology: Topology, settings: StreamsSettings) {
    this.#log = log;
    this.#topology = topology;
    this.#settings = settings;
    this.#policies = new ErrorPolicies(topology, settings);
  }

  /** True if there are other topics or partitions to read than those of the last plan. */
  get isOld(): boolean {
    return this.#isOld;
  }

  /**
   * The plan: the last one, or a new one if that is old. Creates the topics that are missing.
   *
   * @throws StreamsError COPARTITIONING, INTERNAL_TOPIC_MISMATCH, TOPOLOGY_INVALID; LogError
   */
  async plan(): Promise<Plan> {
    if (this.#plan === undefined || this.#isOld) {
      this.#plan = await this.#makePlan();
      this.#isOld = false;
    }
    return this.#plan;
  }

  /** Looks whether the last plan has become old; logs why. */
  async look(): Promise<boolean> {
    if (this.#plan === undefined) return false;
    const { applicationId, logger } = this.#settings;
    const topics = await this.#topics();
    const read = matchedTopics(this.#plan.topology);
    const found = matchingTopics(this.#topology, applicationId, this.#candidates(topics));
    const come = found.filter((name) => !read.includes(name));
    const gone = read.filter((name) => !found.includes(name));
    const wider = [...this.#partitions].flatMap(([name, partitions]) => {
      return (topics.get(name)?.partitions ?? 0) > partitions ? [name] : [];
    });
    if (come.length > 0) logger.info(`${applicationId} reads new topics: ${come.join(', ')}`);
    if (gone.length > 0) logger.warn(`${applicationId} reads no longer: ${gone.join(', ')}`);
    if (wider.length > 0) {
      logger.info(`${applicationId} reads new partitions of: ${wider.join(', ')}`);
    }
    this.#isOld ||= come.length + gone.length + wider.length > 0;
    return this.#isOld;
  }

  /** Looks from time to time, and calls back when the plan is old. */
  watch(changed: () => void): TopicWatch {
    const { clock, logger, metadataMaxAgeMs: everyMs } = this.#settings;
    return new TopicWatch({ clock, logger, everyMs, hasChanged: () => this.look(), changed });
  }

  async #makePlan(): Promise<Plan> {
    const { applicationId } = this.#settings;
    await this.#createNamed();
    const topics = await this.#topics();
    const candidates = this.#candidates(topics);
    const topology = withMatchingTopics(this.#topology, applicationId, candidates);
    this.#policies.check();
    const existing = (topic: string): number | undefined => topics.get(topic)?.partitions;
    const plan = makePlan(applicationId, topology, {
      of: (topic, declared) => declared ?? existing(topic) ?? 1,
      existing,
    });
    const sources = topology.nodes.flatMap((node) => (node.kind === 'source' ? node.topics : []));
    this.#partitions = new Map(sources.map(({ name }) => [name, existing(name) ?? 0]));
    return plan;
  }

  /** Creates the topics that are missing, but not those that a pattern stands for. */
  async #createNamed(): Promise<void> {
    const admin = this.#log.admin();
    for (const node of this.#topology.nodes) {
      const topics = node.kind === 'source' ? node.topics : [];
      for (const topic of topics) await admin.ensureTopic(topicHandle(topic));
      // What is written may match a pattern.
      if (node.kind === 'sink' && hasPatterns(this.#topology)) {
        await admin.ensureTopic(topicHandle(node.topic));
      }
    }
  }

  /** All topics of the log by name. */
  async #topics(): Promise<Map<string, TopicMetadata>> {
    const { topics } = await this.#log.api.metadata({});
    return new Map(topics.map((each) => [each.topic, each]));
  }

  /** The names of those that a pattern may match. */
  #candidates(topics: ReadonlyMap<string, TopicMetadata>): string[] {
    const { applicationId } = this.#settings;
    const deadLetters = new Set(this.#policies.topics);
    const all = [...topics.values()].filter(({ topic }) => !deadLetters.has(topic));
    return all.flatMap((each) => {
      return each.isInternal || isMadeInternal(applicationId, each) ? [] : [each.topic];
    });
  }
}
