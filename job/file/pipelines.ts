import { closest } from 'fastest-levenshtein';
import type { AnyTopic, Topic } from '../../core/index.ts';
import { present, show } from '../../core/internal.ts';
import { configSchema, field, type ConfigIssue } from '../../connect/index.ts';
import type { GlobalKTable } from '../../streams/index.ts';
import type { BuildTopology } from '../define-job.ts';
import type { FieldStream } from './aggregation.ts';
import type { Fields } from './fields.ts';
import { checkStep, hasFields, under, unknownTopic, type Step } from './steps.ts';

/** Steps between topics, checked. */
export interface Pipeline {
  readonly name: string;
  /** Names of topics, or of pipelines above it. */
  readonly from: readonly string[];
  readonly steps: readonly Step[];
  readonly to: AnyTopic | undefined;
}

const PIPELINE = configSchema({
  from: field.list({ doc: 'The topic that it reads, or a pipeline above; several in a list.' }),
  steps: field.objects({ doc: 'What is done to its records, in this order.', default: [] }),
  to: field.string({ doc: 'The topic that gets the results.', optional: true }),
  name: field.string({
    doc: 'Names it for pipelines below, and what its steps keep. Default: to, or else from.',
    optional: true,
  }),
});

/** Serdes that take keys of text, as steps make them. */
const TEXT_KEYS = ['string', 'json', 'msgpack'];

/** Checks the pipelines of one topology, and gathers every mistake. */
export class PipelineChecks {
  readonly pipelines: Pipeline[] = [];
  readonly issues: ConfigIssue[] = [];
  readonly #topics: ReadonlyMap<string, AnyTopic>;
  /** Where each name was given, such as `topology.0`. */
  readonly #names = new Map<string, string>();
  readonly #stores = new Set<string>();
  /** Pipelines that are read by those below. */
  readonly #read = new Set<string>();

  constructor(topics: ReadonlyMap<string, AnyTopic>) {
    this.#topics = topics;
  }

  /** @param at where they stand: `topology`. */
  check(at: string, given: readonly Fields[]): void {
    if (given.length === 0) this.issues.push({ field: at, problem: 'it has no pipeline' });
    for (const [index, each] of given.entries()) this.#checkOne(`${at}.${index}`, each);
    for (const [name, place] of this.#names) {
      const { to } = this.pipelines.find((each) => each.name === name) ?? {};
      if (to !== undefined || this.#read.has(name)) continue;
      const problem = 'its records go nowhere: it needs to, or a pipeline below that reads it';
      this.issues.push({ field: place, problem });
    }
  }

  #checkOne(at: string, given: Fields): void {
    const checked = PIPELINE.read(given);
    if ('issues' in checked) {
      this.issues.push(...under(at, checked.issues));
      // Its steps are checked all the same: every mistake is told at once.
      if (!Array.isArray(given['steps'])) return;
    }
    const config = 'config' in checked ? checked.config : undefined;
    const from = config?.from ?? [];
    const name = config?.name ?? config?.to ?? from[0] ?? at;
    for (const each of from) this.#checkFrom(`${at}.from`, each, config?.steps ?? []);
    if (config !== undefined) this.#checkName(at, name, config.name !== undefined);
    const steps: Step[] = [];
    for (const [index, each] of (given['steps'] as readonly Fields[] | undefined)?.entries() ??
      []) {
      const step = this.#checkStep(`${at}.steps.${index}`, each, name);
      if (step !== undefined) steps.push(step);
    }
    if (config === undefined) return;
    const to = config.to === undefined ? undefined : this.#checkTo(`${at}.to`, config.to, steps);
    this.pipelines.push({ name, from, steps, to });
    if (config.to === undefined || to !== undefined) this.#names.set(name, at);
  }

  #checkName(at: string, name: string, isGiven: boolean): void {
    if (!this.#names.has(name) && !(isGiven && this.#topics.has(name))) return;
    const other = this.#topics.has(name) ? `topic ${name}` : `that of ${this.#names.get(name)}`;
    const problem = `its name is ${show(name)}, as ${other}; give it another name`;
    this.issues.push({ field: isGiven ? `${at}.name` : at, problem });
  }

  #checkFrom(at: string, name: string, steps: readonly unknown[]): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) {
      this.#read.add(name);
      if (this.#names.has(name)) return;
      const known = [...this.#topics.keys(), ...this.#names.keys()];
      const hint = known.length === 0 ? 'there are none' : `did you mean ${closest(name, known)}?`;
      const problem = `there is no topic, and no pipeline above, ${show(name)}; ${hint}`;
      this.issues.push({ field: at, problem });
      return;
    }
    const serde = (topic as AnyTopic & { readonly value: { readonly name: string } }).value.name;
    if (steps.length === 0 || hasFields(serde)) return;
    const problem = `topic ${name} has values of ${serde}, and steps need values with fields`;
    this.issues.push({ field: at, problem });
  }

  #checkTo(at: string, name: string, steps: readonly Step[]): AnyTopic | undefined {
    const topic = this.#topics.get(name);
    if (topic === undefined) {
      this.issues.push(unknownTopic(at, name, this.#topics));
      return undefined;
    }
    const { key, value } = topic as { key: { name: string }; value: { name: string } };
    if (steps.length === 0) return topic;
    if (!hasFields(value.name)) {
      const problem = `topic ${name} has values of ${value.name}: steps make values with fields`;
      this.issues.push({ field: at, problem });
    }
    if (!TEXT_KEYS.includes(key.name)) {
      const problem = `topic ${name} has keys of ${key.name}, and steps make keys of text`;
      this.issues.push({ field: at, problem });
    }
    return topic;
  }

  #checkStep(at: string, given: unknown, pipeline: string): Step | undefined {
    const fields = typeof given === 'object' && given !== null ? (given as Fields) : {};
    const checked = checkStep(fields, { pipeline, topics: this.#topics });
    if ('issues' in checked) {
      this.issues.push(...under(at, checked.issues));
      return undefined;
    }
    const { store } = checked;
    if (store !== undefined && this.#stores.has(store)) {
      const problem = `another step keeps what it needs in ${show(store)}, too; give it a store`;
      this.issues.push({ field: at, problem });
    }
    if (store !== undefined) this.#stores.add(store);
    return checked;
  }
}

/** What builds checked pipelines. */
export function pipelinesTopology(
  pipelines: readonly Pipeline[],
  topics: ReadonlyMap<string, AnyTopic>,
): BuildTopology {
  return (builder) => {
    const streams = new Map<string, FieldStream>();
    const tables = new Map<string, GlobalKTable<string, Fields>>();
    const streamOf = (name: string): FieldStream => {
      const topic = present(topics.get(name), 'what pipelines read is checked');
      return builder.stream<string, Fields, 'pass', 'skip'>(topic, { nullValues: 'skip' });
    };
    const read = (name: string): FieldStream => {
      const stream = streams.get(name) ?? streamOf(name);
      streams.set(name, stream);
      return stream;
    };
    const table = (topic: AnyTopic): GlobalKTable<string, Fields> => {
      const known = tables.get(topic.name) ?? builder.globalTable(topic as Topic<string, Fields>);
      tables.set(topic.name, known);
      return known;
    };
    for (const { name, from, steps, to } of pipelines) {
      const inputs = from.map(read);
      let stream = inputs.reduce((all, each) => all.merge(each));
      for (const step of steps) stream = step.apply(stream, { builder, table });
      if (!topics.has(name)) streams.set(name, stream);
      if (to !== undefined) stream.to(to);
    }
  };
}
