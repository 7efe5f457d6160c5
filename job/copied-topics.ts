import { LogError, type AnyTopic, type Clock, type Log, type Timer } from '../core/index.ts';
import type { SinkRunner } from '../connect/index.ts';
import { sinkOf, sourceOf, topicNames, type Job } from './define-job.ts';
import type { Stop } from './stop.ts';

const MIB = 1024 * 1024;

/**
 * Settings of topics that a copy creates: what is deleted are whole segments. Nobody else reads
 * them, and no read of a segment takes so long.
 */
const COPY_CONFIG = { segmentBytes: 64 * MIB, fileDeleteDelayMs: 2_000 } as const;

/** How often what is copied is deleted. */
const DELETE_MS = 2_000;

interface Environment {
  readonly log: Log;
  readonly stop: Stop;
  readonly clock: Clock;
}

/** Records below an offset. */
interface Copied {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/**
 * The topics between the sources and the sinks of a copy: a file of any size goes through them, so
 * what is in the output is deleted [JOB-COPY-3]. What a consumer group has yet to read stays.
 */
export class CopiedTopics {
  readonly #environment: Environment;
  readonly #topics: readonly AnyTopic[];
  readonly #sinks: readonly SinkRunner[];
  /** Groups of the sinks themselves: how far those are, the sinks tell. */
  readonly #ownGroups: ReadonlySet<string>;
  /** By partition, below which offset all is deleted. */
  readonly #deleted = new Map<string, number>();
  #timer: Timer | undefined;
  /** A deletion that goes on. */
  #deleting: Promise<void> = Promise.resolve();

  constructor(job: Job, sinks: readonly SinkRunner[], environment: Environment) {
    this.#environment = environment;
    this.#sinks = sinks;
    const read = new Set(job.sinks.flatMap((sink) => topicNames(sinkOf(sink))));
    const written = job.sources.flatMap((source) => sourceOf(source).topics);
    this.#topics = written.filter(({ name }) => read.has(name));
    const groups = job.sinks.map((sink) => {
      return ('sink' in sink ? sink.groupId : undefined) ?? `connect-${sinkOf(sink).name}`;
    });
    this.#ownGroups = new Set(groups.flatMap((group) => [group, `${group}-dead-letters`]));
  }

  /** Creates those that do not exist, with segments that go soon unless they say otherwise. */
  async create(): Promise<void> {
    const admin = this.#environment.log.admin();
    for (const topic of this.#topics) {
      const { maxMessageBytes = 0 } = topic.config;
      const segmentBytes = Math.max(COPY_CONFIG.segmentBytes, maxMessageBytes);
      const config = { ...COPY_CONFIG, segmentBytes, ...topic.config };
      await admin.ensureTopic({ ...topic, config });
    }
  }

  /** Deletes from time to time, until `end`. */
  start(): void {
    const { clock, stop } = this.#environment;
    this.#timer = clock.setBackgroundTimer(DELETE_MS, () => {
      this.#deleting = this.#delete().then(
        () => this.start(),
        (error: unknown) => stop.fail(error),
      );
    });
  }

  /** Deletes a last time. @throws LogError what kept it from deleting. */
  async end(): Promise<void> {
    this.#timer?.cancel();
    await this.#deleting;
    this.#timer?.cancel(); // the last deletion has set another one
    if (this.#environment.stop.failure === undefined) await this.#delete();
  }

  async #delete(): Promise<void> {
    const copied = (await this.#copied()).filter((place) => {
      return place.offset > (this.#deleted.get(keyOf(place)) ?? 0);
    });
    if (copied.length === 0) return;
    try {
      await this.#environment.log.admin().deleteRecords(copied);
    } catch (error) {
      // A full disk may stay so for some time: the next deletion makes room.
      if (error instanceof LogError && error.retriable) return;
      throw error;
    }
    for (const place of copied) this.#deleted.set(keyOf(place), place.offset);
  }

  /** What all sinks and all other readers have behind them. */
  async #copied(): Promise<Copied[]> {
    const others = await this.#readByOthers();
    return this.#topics.flatMap(({ name }) => {
      const sinks = this.#sinks.filter(({ connector }) => topicNames(connector).includes(name));
      const readers = [...sinks.map((sink) => sink.committedOffsets), ...others];
      const own = (sinks[0]?.committedOffsets ?? []).filter(({ topic }) => topic === name);
      return own.map((place) => ({ ...place, offset: lowest(place, readers, sinks.length) }));
    });
  }

  /** What each consumer group has committed. */
  async #readByOthers(): Promise<(readonly Copied[])[]> {
    const { api } = this.#environment.log;
    const { groups } = await api.listGroups({});
    const others = groups.filter(({ groupId }) => !this.#ownGroups.has(groupId));
    return Promise.all(
      others.map(async ({ groupId }) => {
        const { offsets } = await api.offsetFetch({ groupId, requireStable: false });
        return offsets.filter(({ offset }) => offset >= 0);
      }),
    );
  }
}

/** The lowest offset of a partition that readers have; the first `sinks` of them all read it. */
function lowest(place: Copied, readers: readonly (readonly Copied[])[], sinks: number): number {
  const offsets = readers.map((reader, index) => {
    const known = reader.find((each) => keyOf(each) === keyOf(place));
    return known?.offset ?? (index < sinks ? 0 : Infinity);
  });
  return Math.min(...offsets);
}

function keyOf({ topic, partition }: Pick<Copied, 'topic' | 'partition'>): string {
  return `${topic}-${partition}`;
}
