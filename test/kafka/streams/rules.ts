import { CLOSING_MS } from './input.ts';
import type { Output, Run } from './spec.ts';

/**
 * The differences from Kafka Streams that are on purpose. docs/KAFKA-DIFFERENCES.md has the reason
 * and an example of each, under the same id.
 */
export const RULES = {
  /** Topologies.java makes Kafka behave as we do, and the results have to be equal then. */
  adapted: [
    'MERGE-WITH-ITSELF',
    'NULL-KEYS-IN-REPARTITION',
    'NULL-VALUES-IN-JOINS',
    'NULL-VALUES-IN-WINDOWS',
    'OLD-VALUES',
    'RETENTION-OF-JOINS',
    'STREAM-TIME',
  ],
  /** Pairs of records that count as equal. */
  tolerated: {
    /** Results that time brings about have no headers. */
    'HEADERS-OF-FINAL-RESULTS': (ours: Output, kafkas: Output): boolean =>
      ours[5].length === 0 && same(ours.slice(0, 5), kafkas.slice(0, 5)),
  },
} as const;

/** All of them. */
export const RULE_IDS: readonly string[] = [...RULES.adapted, ...Object.keys(RULES.tolerated)];

export type Difference = {
  readonly what: string;
  readonly ours: unknown;
  readonly kafkas: unknown;
};

/** The first difference that no rule explains; adds the rules that explain others to `used`. */
export function firstDifference(ours: Run, kafkas: Run, used: Set<string>): Difference | undefined {
  const left = comparable(ours.outputs);
  const right = comparable(kafkas.outputs);
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const [one, other] = [left[index], right[index]];
    if (same(one, other)) continue;
    const rule =
      one !== undefined && other !== undefined
        ? Object.entries(RULES.tolerated).find(([, accepts]) => accepts(one, other))
        : undefined;
    if (rule === undefined) return { what: `output ${index}`, ours: one, kafkas: other };
    used.add(rule[0]);
  }
  for (const [name, entries] of Object.entries(ours.stores)) {
    const times = (kafkas.stores[name] ?? []).map((entry) => entry.slice(0, -1));
    const [one, other] = [sorted(entries), sorted(times)];
    if (!same(one, other)) return { what: `store ${name}`, ours: one, kafkas: other };
  }
  return undefined;
}

/** The results by step and topic, without those of closing records. */
function comparable(outputs: readonly Output[]): Output[] {
  const results = outputs.filter(([, , , , timestampMs]) => timestampMs < CLOSING_MS);
  return results.sort((a, b) => a[0] - b[0] || compare(a[1], b[1]));
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function sorted(entries: readonly (readonly unknown[])[]): string[] {
  return entries.map((entry) => JSON.stringify(entry)).sort();
}

function same(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
