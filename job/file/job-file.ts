import { json, LogError, string, topic, type AnyTopic } from '../../core/index.ts';
import { asError, show } from '../../core/internal.ts';
import {
  buildConnector,
  configSchema,
  field,
  type ConfigField,
  type ConfigIssue,
  type ConfigOf,
  type MadeConnector,
  type MakingOptions,
} from '../../connect/index.ts';
import { StreamsError, type StreamsOptions } from '../../streams/index.ts';
import {
  defineJob,
  type BuildTopology,
  type Job,
  type JobSink,
  type JobSource,
} from '../define-job.ts';
import { checkedSchedule, type JobSchedule } from '../schedule.ts';
import { jobTopologies } from '../topologies.ts';
import type { Fields } from './fields.ts';
import { PipelineChecks, pipelinesTopology } from './pipelines.ts';
import { under } from './steps.ts';

/** When it runs: a cron expression, or an object that has one. */
const SCHEDULE: ConfigField<string | Fields | undefined> = {
  ...{ type: 'string', doc: 'When it runs. Default: once, at once.', allowed: 'a cron expression' },
  ...{ isRequired: false, default: undefined, choices: undefined },
  parse: (given) => {
    const isObject = typeof given === 'object' && given !== null;
    return typeof given === 'string' || isObject ? { value: given as string | Fields } : undefined;
  },
};

const JOB = configSchema({
  name: field.string({ doc: 'Names the job and what it keeps, for ever.' }),
  plugins: field.list({ doc: 'Modules with plugins of your own.', default: [] }),
  sources: field.objects({ doc: 'Where records come from: connectors.' }),
  sinks: field.objects({ doc: 'Where they go: connectors.', default: [] }),
  topics: field.list({ doc: 'Topics in between, besides those of connectors.', default: [] }),
  topology: field.objects({ doc: 'Pipelines between topics. Default: a copy.', optional: true }),
  topologies: field.object({ doc: 'Several such lists by name.', optional: true }),
  keepTopics: field.boolean({ doc: 'Whether a copy keeps what it copied.', optional: true }),
  schedule: SCHEDULE,
  errors: field.object({ doc: 'What becomes of bad records, everywhere.', optional: true }),
  retries: field.object({ doc: 'How often connectors try again.', optional: true }),
  commitIntervalMs: field.integer({ doc: 'How often all parts commit.', optional: true, min: 1 }),
});

/** What all connectors have unless they say otherwise. */
const SHARED = ['errors', 'retries', 'commitIntervalMs'] as const;

/**
 * Makes a job of plain data, as a job file has it (docs/JOB-FILES.md), or finds every mistake in
 * it. Nothing is opened or created.
 *
 * @param content what a file has; it need not be a job.
 * @throws ConnectError PLUGIN_EXISTS
 */
export async function makeJob(
  content: unknown,
  options: MakingOptions,
): Promise<{ readonly job: Job } | { readonly issues: readonly ConfigIssue[] }> {
  const checked = JOB.read(content);
  const given = (typeof content === 'object' && content !== null ? content : {}) as Fields;
  const making = new JobMaking(given, options);
  if ('issues' in checked) making.issues.push(...checked.issues);
  const sources = await making.connectors('source');
  const sinks = await making.connectors('sink');
  const topologies = making.topologies();
  const schedule = making.schedule();
  const { issues } = making;
  if ('config' in checked && issues.length === 0) {
    const { config } = checked;
    const parts = { sources, sinks, ...topologies, ...(schedule !== undefined && { schedule }) };
    const job = making.define(config, parts);
    if (job !== undefined) return { job };
  }
  return { issues };
}

type Topologies = Pick<Job, 'topology' | 'topologies'>;

/** Makes the parts of one job, and gathers every mistake. */
class JobMaking {
  readonly issues: ConfigIssue[] = [];
  readonly #given: Fields;
  readonly #options: MakingOptions;
  readonly #topics = new Map<string, AnyTopic>();
  /** Those of connectors with mistakes. */
  readonly #presumed = new Set<string>();
  /** Topics that something writes to. */
  readonly #written = new Set<string>();

  constructor(given: Fields, options: MakingOptions) {
    this.#given = given;
    this.#options = options;
    const { topics } = given;
    const names = typeof topics === 'string' ? topics.split(/\s*,\s*/) : topics;
    for (const name of Array.isArray(names) ? (names as unknown[]) : []) {
      const made = this.#try('topics', () => {
        return topic(String(name), { key: string(), value: json<unknown>() });
      });
      if (made !== undefined) this.#topics.set(made.name, made);
    }
  }

  async connectors(kind: 'source'): Promise<JobSource[]>;
  async connectors(kind: 'sink'): Promise<JobSink[]>;
  async connectors(kind: 'source' | 'sink'): Promise<(JobSource | JobSink)[]> {
    const at = `${kind}s`;
    const list = this.#given[at];
    const found: (JobSource | JobSink)[] = [];
    const names = new Set<unknown>();
    for (const [index, given] of (Array.isArray(list) ? (list as Fields[]) : []).entries()) {
      const made = await this.#connector(kind, `${at}.${index}`, given);
      if (names.has(given['name'])) {
        const problem = `another one of the ${at} is called ${show(given['name'])}`;
        this.issues.push({ field: `${at}.${index}.name`, problem });
      }
      names.add(given['name']);
      if (made !== undefined) found.push(made);
    }
    return found;
  }

  /** The topologies, as `defineJob` takes them; none of a copy. */
  topologies(): Topologies {
    const { topology, topologies } = this.#given;
    const built: Record<string, BuildTopology> = {};
    if (topology !== undefined && topologies !== undefined) {
      const problem = 'it must be left out if there is a topology';
      this.issues.push({ field: 'topologies', problem });
    }
    if (Array.isArray(topology)) {
      const only = this.#pipelines('topology', topology as Fields[]);
      return { topology: only };
    }
    if (typeof topologies !== 'object' || topologies === null) return {};
    for (const [name, pipelines] of Object.entries(topologies)) {
      const at = `topologies.${name}`;
      if (Array.isArray(pipelines)) built[name] = this.#pipelines(at, pipelines as Fields[]);
      else this.issues.push({ field: at, problem: 'it must be a list of pipelines' });
    }
    return { topologies: built };
  }

  schedule(): Required<JobSchedule> | undefined {
    const { schedule } = this.#given;
    if (schedule === undefined || schedule === null) return undefined;
    return this.#try('schedule', () => checkedSchedule(schedule as JobSchedule));
  }

  /** Puts the parts together; undefined if they do not fit. */
  define(
    config: ConfigOf<typeof JOB>,
    parts: Topologies & {
      readonly sources: readonly JobSource[];
      readonly sinks: readonly JobSink[];
      readonly schedule?: Required<JobSchedule>;
    },
  ): Job | undefined {
    const { name, keepTopics, topology, topologies } = config;
    const isCopy = topology === undefined && topologies === undefined;
    if (!isCopy) this.#checkSinks(parts);
    const streams = this.#streams();
    const definition = {
      ...{ name, ...parts },
      ...(keepTopics !== undefined && { keepTopics }),
      ...(!isCopy && { streams }),
    };
    const job = this.#try('', () => defineJob(definition as never));
    if (job === undefined || this.issues.length > 0) return undefined;
    this.#try(topology === undefined ? 'topologies' : 'topology', () => jobTopologies(job));
    return this.issues.length > 0 ? undefined : job;
  }

  #pipelines(at: string, given: readonly Fields[]): BuildTopology {
    const checks = new PipelineChecks(this.#topics);
    checks.check(at, given);
    this.issues.push(...checks.issues);
    for (const { to } of checks.pipelines) if (to !== undefined) this.#written.add(to.name);
    return pipelinesTopology(checks.pipelines, this.#topics);
  }

  async #connector(
    kind: 'source' | 'sink',
    at: string,
    given: Fields,
  ): Promise<JobSource | JobSink | undefined> {
    const shared = SHARED.filter((each) => this.#given[each] !== undefined);
    const defaults = Object.fromEntries(shared.map((each) => [each, this.#given[each]]));
    const made = await buildConnector({ ...defaults, ...given }, this.#options);
    if ('issues' in made) {
      this.#tell(at, given, made.issues);
      this.#presume(kind, given);
      return undefined;
    }
    if (made.kind !== kind) {
      const { connector } = made.definition;
      const problem = `${connector} is a ${made.kind}, and belongs to the ${made.kind}s`;
      this.issues.push({ field: `${at}.connector`, problem });
      this.#presume(kind, given);
      return undefined;
    }
    for (const each of made.connector.topics) this.#addTopic(at, each);
    if (made.kind === 'sink') {
      return { sink: made.connector, ...settingsOf(made) };
    }
    for (const each of made.connector.topics) this.#written.add(each.name);
    const { transactionBoundary, topicCreation } = made.definition;
    return {
      ...{ source: made.connector, ...settingsOf(made) },
      ...(transactionBoundary !== undefined && { transactionBoundary }),
      ...(topicCreation !== undefined && { topicCreation }),
    };
  }

  /** Takes the topic of a connector with mistakes for one that exists: they make no others. */
  #presume(kind: 'source' | 'sink', { config }: Fields): void {
    const { topic: name } = (config ?? {}) as Fields;
    if (typeof name !== 'string') return;
    const made = this.#try('', () => topic(name, { key: string(), value: json<unknown>() }));
    if (made === undefined || this.#topics.has(name)) return;
    this.#topics.set(name, made);
    this.#presumed.add(name);
    if (kind === 'source') this.#written.add(name);
  }

  /** Adds mistakes of a connector; one in what they share is told once, where it stands. */
  #tell(at: string, given: Fields, issues: readonly ConfigIssue[]): void {
    for (const issue of issues) {
      const isShared = SHARED.some((each) => each === issue.field && given[each] === undefined);
      const [told] = isShared ? [issue] : under(at, [issue]);
      const isKnown = this.issues.some(({ field: known }) => isShared && known === issue.field);
      if (told !== undefined && !isKnown) this.issues.push(told);
    }
  }

  /** Two connectors must read and write a topic alike. */
  #addTopic(at: string, added: AnyTopic): void {
    const known = this.#topics.get(added.name);
    if (known === undefined || this.#presumed.delete(added.name)) {
      this.#topics.set(added.name, added);
      return;
    }
    for (const part of ['key', 'value'] as const) {
      const [one, other] = [known, added].map((each) => (each[part] as { name: string }).name);
      if (one === other) continue;
      const problem = `topic ${added.name} has ${part}s of ${one} elsewhere, and of ${other} here`;
      this.issues.push({ field: `${at}.${part}Converter`, problem });
    }
  }

  /** A sink behind a topology, of a topic that nothing writes, would wait for ever. */
  #checkSinks({
    sources,
    sinks,
  }: {
    sources: readonly JobSource[];
    sinks: readonly JobSink[];
  }): void {
    // A transform may send records to any topic.
    if (sources.some(({ transforms = [] }) => transforms.length > 0)) return;
    for (const [index, { sink }] of sinks.entries()) {
      for (const { name } of sink.topics) {
        if (this.#written.has(name) || /dead-?letter/i.test(name)) continue;
        const written = [...this.#written].join(', ');
        const problem = `nothing writes to topic ${name}: there are ${written}`;
        this.issues.push({ field: `sinks.${index}.config.topic`, problem });
      }
    }
  }

  /** The settings of the applications. */
  #streams(): Partial<StreamsOptions> {
    const { errors, commitIntervalMs } = this.#given;
    const { tolerance, deadLetter } = (errors ?? {}) as Fields;
    const action = deadLetter === undefined || deadLetter === false ? 'skip' : 'deadLetter';
    return {
      ...(typeof commitIntervalMs === 'number' && { commitIntervalMs }),
      ...(tolerance === 'all' && {
        ...{ onDeserializationError: action, onProcessingError: action, onProductionError: action },
      }),
      ...(typeof deadLetter === 'string' && { deadLetterTopic: deadLetter }),
    };
  }

  /** What `make` returns; undefined if it throws one of our errors, which is a mistake then. */
  #try<T>(at: string, make: () => T): T | undefined {
    try {
      return make();
    } catch (cause) {
      const isOurs = cause instanceof LogError || cause instanceof StreamsError;
      if (!isOurs) throw cause;
      const { details } = cause as { readonly details: { readonly option?: string } };
      const found = at === '' && details.option !== undefined ? details.option : at;
      this.issues.push({ field: found, problem: asError(cause).message });
      return undefined;
    }
  }
}

type SharedSettings = Pick<
  JobSource,
  'transforms' | 'errors' | 'retries' | 'commitIntervalMs' | 'commitRecordsMax'
>;

/** How a connector of a job is run. */
function settingsOf({ definition, transforms }: MadeConnector): SharedSettings {
  const { errors, retries, commitIntervalMs, commitRecordsMax } = definition;
  return {
    transforms,
    ...(errors !== undefined && { errors }),
    ...(retries !== undefined && { retries }),
    ...(commitIntervalMs !== undefined && { commitIntervalMs }),
    ...(commitRecordsMax !== undefined && { commitRecordsMax }),
  };
}
