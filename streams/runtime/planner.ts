import type { Log } from '../../core/index.ts';
import type { Topology } from '../topology/topology.ts';
import type { StreamsSettings } from './options.ts';
import { makePlan, type Plan } from './plan.ts';
import {
  hasPatterns,
  matchedTopics,
  matchingTopics,
  TopicWatch,
  userTopics,
  withMatchingTopics,
} from './topic-patterns.ts';
import { topicHandle } from './topics.ts';

/** Plans an application, and plans it again when other topics match its patterns. */
export class Planner {
  readonly #log: Log;
  readonly #topology: Topology;
  readonly #settings: StreamsSettings;
  /** The last plan; undefined before the first. */
  #plan: Plan | undefined;
  #isOld = false;

  constructor(log: Log, topology: Topology, settings: StreamsSettings) {
    this.#log = log;
    this.#topology = topology;
    this.#settings = settings;
  }

  /** True if other topics match than those of the last plan. */
  get isOld(): boolean {
    return this.#isOld;
  }

  /**
   * The plan: the last one, or a new one if that is old. Creates the topics that are missing.
   *
   * @throws StreamsError COPARTITIONING, TOPOLOGY_INVALID; LogError
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
    if (this.#plan === undefined || !hasPatterns(this.#topology)) return false;
    const { applicationId, logger } = this.#settings;
    const read = matchedTopics(this.#plan.topology);
    const found = matchingTopics(this.#topology, applicationId, await userTopics(this.#log));
    const come = found.filter((name) => !read.includes(name));
    const gone = read.filter((name) => !found.includes(name));
    if (come.length > 0) logger.info(`${applicationId} reads new topics: ${come.join(', ')}`);
    if (gone.length > 0) logger.warn(`${applicationId} reads no longer: ${gone.join(', ')}`);
    this.#isOld ||= come.length + gone.length > 0;
    return this.#isOld;
  }

  /** Looks from time to time, and calls back when the plan is old; undefined without patterns. */
  watch(changed: () => void): TopicWatch | undefined {
    if (!hasPatterns(this.#topology)) return undefined;
    const { clock, logger, metadataMaxAgeMs: everyMs } = this.#settings;
    return new TopicWatch({ clock, logger, everyMs, hasChanged: () => this.look(), changed });
  }

  async #makePlan(): Promise<Plan> {
    const { applicationId } = this.#settings;
    const admin = this.#log.admin();
    const topology = await this.#matchedTopology();
    const partitions = new Map<string, number>();
    for (const node of topology.nodes) {
      if (node.kind !== 'source') continue;
      for (const topic of node.topics) {
        partitions.set(topic.name, await admin.ensureTopic(topicHandle(topic)));
      }
    }
    return makePlan(
      applicationId,
      topology,
      (topic, declared) => declared ?? partitions.get(topic) ?? 1,
    );
  }

  /** The topology with the topics that match its patterns now. */
  async #matchedTopology(): Promise<Topology> {
    if (!hasPatterns(this.#topology)) return this.#topology;
    for (const node of this.#topology.nodes) {
      if (node.kind !== 'sink') continue;
      await this.#log.admin().ensureTopic(topicHandle(node.topic)); // it may match, from now on
    }
    const existing = await userTopics(this.#log);
    return withMatchingTopics(this.#topology, this.#settings.applicationId, existing);
  }
}
