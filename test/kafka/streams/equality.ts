import { CLOSING_MS, randomInput } from './input.ts';
import type { KafkaStreams } from './kafka.ts';
import { MillraceTopology } from './millrace.ts';
import { firstDifference, RULE_IDS, type Difference } from './rules.ts';
import type { Input, Output, Run, Spec } from './spec.ts';

/** The rules without which some input would differ. */
export type NeededRules = Set<string>;

/** For how many inputs of a topology it is found out which rules they need. */
const EXPLAINED = 3;

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
  async run(seeds: readonly number[], needed: NeededRules): Promise<string | undefined> {
    const { chain } = this.#spec;
    const inputs = seeds.map((seed) => randomInput(chain, seed));
    const unequal = await this.#unequal(inputs, needed);
    const [index] = unequal.keys();
    if (index === undefined) return undefined;
    const seed = seeds[index]!;
    return this.#report(seed, await this.#shrunk(inputs[index]!), unequal.size);
  }

  /** The indexes of inputs with differences that no rules explain. */
  async #unequal(
    inputs: readonly (readonly Input[])[],
    needed?: NeededRules,
  ): Promise<Map<number, Difference>> {
    const asked = this.#kafkas(inputs, []);
    asked.catch(() => undefined); // it is awaited below, if ours does not fail before
    const ours = inputs.map((input) => this.#ours.run(input));
    const plain = await asked;
    const differing = inputs.flatMap((_, index) =>
      firstDifference(ours[index]!, plain[index]!) === undefined ? [] : [index],
    );
    if (differing.length === 0) return new Map();
    const adapted = await this.#kafkas(
      differing.map((index) => inputs[index]!),
      RULE_IDS,
    );
    const differences = new Map<number, Difference>();
    for (const [at, index] of differing.entries()) {
      const difference = firstDifference(ours[index]!, adapted[at]!);
      if (difference !== undefined) differences.set(index, difference);
    }
    const explained = differing.filter((index) => !differences.has(index));
    if (needed !== undefined) {
      for (const index of explained.slice(0, EXPLAINED)) {
        await this.#noteNeeded(inputs[index]!, ours[index]!, needed);
      }
    }
    return differences;
  }

  /** Notes the rules without which the results would differ, but those noted before. */
  async #noteNeeded(input: readonly Input[], ours: Run, needed: NeededRules): Promise<void> {
    for (const rule of RULE_IDS) {
      if (needed.has(rule)) continue;
      const others = RULE_IDS.filter((each) => each !== rule);
      const [without] = await this.#kafkas([input], others);
      if (firstDifference(ours, without!) !== undefined) needed.add(rule);
    }
  }

  #kafkas(
    inputs: readonly (readonly Input[])[],
    rules: readonly string[],
  ): Promise<readonly Run[]> {
    const { chain, isMerging } = this.#spec;
    return this.#kafka.run({ chain, isMerging, rules, inputs });
  }

  /** Leaves out records, but no closing ones, as long as the results still differ. */
  async #shrunk(input: readonly Input[]): Promise<readonly Input[]> {
    const end = input.findIndex(([, , , timestampMs]) => timestampMs >= CLOSING_MS);
    const closing = input.slice(end);
    let shrunk = input.slice(0, end);
    for (let size = shrunk.length >> 1; size > 0; size >>= 1) {
      for (let at = 0; at < shrunk.length;) {
        const shorter = [...shrunk.slice(0, at), ...shrunk.slice(at + size)];
        const { size: differing } = await this.#unequal([[...shorter, ...closing]]);
        if (differing > 0) shrunk = shorter;
        else at += size;
      }
    }
    return [...shrunk, ...closing];
  }

  async #report(seed: number, input: readonly Input[], unequal: number): Promise<string> {
    const ours = this.#ours.run(input);
    const isOpening = ([, , , timestampMs]: Input): boolean => timestampMs < CLOSING_MS;
    const shown = (run: Run | undefined): string[] =>
      (run?.outputs ?? [])
        .filter(([, , , , timestampMs]: Output) => timestampMs < CLOSING_MS)
        .map((record) => `  ${JSON.stringify(record)}`);
    const [plain] = await this.#kafkas([input], []);
    const [adapted] = await this.#kafkas([input], RULE_IDS);
    const [difference] = (await this.#unequal([input])).values();
    return [
      `${this.#spec.name}: ${unequal} of the inputs differ, first that of seed ${seed}`,
      JSON.stringify(this.#spec.chain),
      'input, shortened:',
      ...input.filter(isOpening).map((record, step) => `  ${step}: ${JSON.stringify(record)}`),
      `first difference: ${difference?.what}`,
      `  ours:  ${JSON.stringify(difference?.ours)}`,
      `  Kafka: ${JSON.stringify(difference?.kafkas)}`,
      'all results of ours:',
      ...shown(ours),
      "all results of Kafka's:",
      ...shown(plain),
      "all results of Kafka's by the rules:",
      ...shown(adapted),
      `again: PAIRS=1 SEED=${seed} SEEDS=1 npm run test:kafka -- streams -t '${this.#spec.name}'`,
    ].join('\n');
  }
}
