import { LogError, type Log, type TopicMetadata, type TopicSettings } from '../../core/index.ts';
import { matches, targetName, type MirrorSettings } from './mirror-options.ts';

/** A topic that is mirrored. */
export interface MirroredTopic {
  readonly topic: string;
  readonly topicId: string;
  /** Its name in the mirror. */
  readonly target: string;
  /** How many partitions it has there. */
  readonly partitions: number;
  /** How many of them the source has. */
  readonly sourcePartitions: number;
}

/** Settings that copies do not get: what is about timestamps, which are copied as they are. */
const OWN_SETTINGS = /^message\.timestamp\./;

/** Finds the topics to mirror, and keeps their copies like them. */
export class MirroredTopics {
  readonly #from: Log;
  readonly #to: Log;
  readonly #settings: MirrorSettings;
  /** The settings of each source topic that its copy has, as text. */
  readonly #synced = new Map<string, string>();

  constructor(from: Log, to: Log, settings: MirrorSettings) {
    this.#from = from;
    this.#to = to;
    this.#settings = settings;
  }

  /** What is to be mirrored now: the copies are there, with as many partitions and the settings. */
  async find(): Promise<readonly MirroredTopic[]> {
    const names = (await this.#from.admin().listTopics()).filter((name) => this.#isSelected(name));
    if (names.length === 0) return [];
    // One that is deleted meanwhile has an error in place of its description.
    const { topics } = await this.#from.api.metadata({ topics: names });
    const found: MirroredTopic[] = [];
    for (const described of topics) {
      if (described.error !== undefined) continue;
      found.push(await this.#ensure(described));
    }
    return found;
  }

  #isSelected(name: string): boolean {
    const { topics, exclude, targetAlias, policy } = this.#settings;
    const isOurs = targetAlias !== undefined && name.startsWith(`${targetAlias}.`);
    if (policy === 'default' && isOurs) return false;
    return matches(topics, name) && !matches(exclude, name);
  }

  async #ensure(source: TopicMetadata): Promise<MirroredTopic> {
    const { topic, topicId, partitions } = source;
    const target = targetName(this.#settings, topic);
    const admin = this.#to.admin();
    const config = this.#configOf(source);
    try {
      await admin.createTopic(target, { partitions, config });
    } catch (cause) {
      if (!LogError.is(cause, 'TOPIC_ALREADY_EXISTS')) throw cause;
    }
    let [copy] = await admin.describeTopics([target]);
    if (copy !== undefined && copy.partitions < partitions) {
      await admin.createPartitions(target, partitions);
      [copy] = await admin.describeTopics([target]);
    }
    if (copy !== undefined) await this.#syncConfig(copy, config);
    const count = copy?.partitions ?? partitions;
    return { topic, topicId, target, partitions: count, sourcePartitions: partitions };
  }

  /** The settings that a topic has of its own, as far as its copy gets them. */
  #configOf({ config }: Pick<TopicMetadata, 'config'>): TopicSettings {
    if (!this.#settings.syncConfigs) return {};
    const entries = Object.entries(config).filter(([name]) => !OWN_SETTINGS.test(name));
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  async #syncConfig(copy: TopicMetadata, config: TopicSettings): Promise<void> {
    if (!this.#settings.syncConfigs) return;
    const wanted = JSON.stringify(config);
    if (this.#synced.get(copy.topic) === wanted) return;
    const current = this.#configOf(copy);
    if (JSON.stringify(current) !== wanted) {
      const gone = Object.keys(current).filter((name) => !Object.hasOwn(config, name));
      await this.#to.admin().alterConfigs(copy.topic, { set: config, delete: gone as never });
    }
    this.#synced.set(copy.topic, wanted);
  }
}
