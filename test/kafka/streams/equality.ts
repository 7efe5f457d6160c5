import { CLOSING_MS, randomInput } from './input.ts';
import type { KafkaStreams } from './kafka.ts';
import { MillraceTopology } from './millrace.ts';
import { firstDifference, RULE_SETS, type Difference } from './rules.ts';
import { topicsOf, type Input, type Output, type Run, type Spec } from './spec.ts';

/** How often results were equal only by a rule. */
export type RuleCounts = Map<string, number>;

/** A topology on both sides. */
export class Comparison {
  readonly #spec: Spec;
  readonly #kafka: KafkaStreams;
  readonly #ours: MillraceTopology;
  constructor(spec: Spec, kafka: KafkaStreams) {
    this.#spec = spec;
    this.#kafka = kafka;
    this.#ours = new MillraceTopology(spec);
  }

  /** Runs the inputs of some seeds; returns a report of the first that differs, or undefined. */
  async run(seeds: readonly number[], counts: RuleCounts): Promise<string | undefined> {
    const topics = topicsOf(this.#spec.chain);
    const inputs = seeds.map((seed) => randomInput(topics, seed));
    const unequal = await this.#unequal(inputs, counts);
    const [index] = unequal.keys();
    if (index === undefined) return undefined;
    const seed = seeds[index]!;
    return this.#report(seed, await this.#shrunk(inputs[index]!), unequal.size);
  }

  /** The indexes of inputs with differences that no rules explain. */
  async #unequal(
    inputs: readonly (readonly Input[])[],
    counts: RuleCounts,
  ): Promise<Map<number, Difference>> {
    const ours = inputs.map((input) => this.#ours.run(input));
    let open = new Map<number, Difference>();
    for (const rules of RULE_SETS) {
      const tried = rules.length === 0 ? [...inputs.keys()] : [...open.keys()];
      if (tried.length === 0) break;
      const kafkas = await this.#kafkas(
        tried.map((index) => inputs[index]!),
        rules,
      );
      const differences = new Map<number, Difference>();
      for (const [at, index] of tried.entries()) {
        const used = new Set(rules);
        const difference = firstDifference(ours[index]!, kafkas[at]!, used);
        if (difference !== undefined) differences.set(index, difference);
        else for (const rule of used) counts.set(rule, (counts.get(rule) ?? 0) + 1);
      }
      open = differences;
    }
    return open;
  }

  #kafkas(
    inputs: readonly (readonly Input[])[],
    rules: readonly string[],
  ): Promise<readonly Run[]> {
    return this.#kafka.run({ chain: this.#spec.chain, rules, inputs });
  }

  /** Leaves out records, but no closing ones, as long as the results still differ. */
  async #shrunk(input: readonly Input[]): Promise<readonly Input[]> {
    const end = input.findIndex(([, , , timestampMs]) => timestampMs >= CLOSING_MS);
    const closing = input.slice(end);
    let shrunk = input.slice(0, end);
    for (let size = shrunk.length >> 1; size > 0; size >>= 1) {
      for (let at = 0; at < shrunk.length;) {
        const shorter = [...shrunk.slice(0, at), ...shrunk.slice(at + size)];
        const { size: differing } = await this.#unequal([[...shorter, ...closing]], new Map());
        if (differing > 0) shrunk = shorter;
        else at += size;
      }
    }
    return [...shrunk, ...closing];
  }

  async #report(seed: number, input: readonly Input[], unequal: number): Promise<string> {
    const ours = this.#ours.run(input);
    const isOpening = ([, , , timestampMs]: Input): boolean => timestampMs < CLOSING_MS;
    const isShown = ([, , , , timestampMs]: Output): boolean => timestampMs < CLOSING_MS;
    const [kafkas] = await this.#kafkas([input], []);
    const [difference] = (await this.#unequal([input], new Map())).values();
    return [
      `${this.#spec.name}: ${unequal} of the inputs differ, first that of seed ${seed}`,
      JSON.stringify(this.#spec.chain),
      'input, shortened:',
      ...input.filter(isOpening).map((record, step) => `  ${step}: ${JSON.stringify(record)}`),
      `first difference: ${difference?.what}`,
      `  ours:  ${JSON.stringify(difference?.ours)}`,
      `  Kafka: ${JSON.stringify(difference?.kafkas)}`,
      'all results of ours:',
      ...ours.outputs.filter(isShown).map((record) => `  ${JSON.stringify(record)}`),
      "all results of Kafka's:",
      ...(kafkas?.outputs ?? []).filter(isShown).map((record) => `  ${JSON.stringify(record)}`),
      `again: SEED=${seed} SEEDS=1 npm run test:kafka -- streams -t '${this.#spec.name}'`,
    ].join('\n');
  }
}
