import { CLOSING_MS } from './input.ts';
import type { Bound, Entry, Output, Run } from './spec.ts';

/**
 * The differences from Kafka Streams that are on purpose. For each, Topologies.java or Adapted.java
 * makes Kafka behave as we do, and the results have to be equal then. docs/KAFKA-DIFFERENCES.md has
 * the reason and an example of each, under the same id.
 */
export const RULE_IDS: readonly string[] = [
  'FINAL-SESSIONS',
  'MERGE-WITH-ITSELF',
  'NULL-KEYS-IN-GRACE-JOINS',
  'NULL-KEYS-IN-REPARTITION',
  'NULL-VALUES-IN-JOINS',
  'NULL-VALUES-IN-WINDOWS',
  'OLD-VALUES',
  'REPARTITION-OF-SELF-JOINS',
  'RETENTION-OF-JOINS',
  'STREAM-TIME',
  'UNMATCHED-IN-JOINS',
];

export type Difference = {
  readonly what: string;
  readonly ours: unknown;
  readonly kafkas: unknown;
};

/** The first difference, if there is one. */
export function firstDifference(ours: Run, kafkas: Run): Difference | undefined {
  if (ours.failedAt !== kafkas.failedAt) {
    return { what: 'the failure', ours: ours.failedAt, kafkas: kafkas.failedAt };
  }
  const left = comparable(ours.outputs);
  const right = comparable(kafkas.outputs);
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const [one, other] = [left[index], right[index]];
    if (!same(one, other)) return { what: `output ${index}`, ours: one, kafkas: other };
  }
  for (const [name, entries] of Object.entries(ours.stores)) {
    const [one, other] = kept(entries, kafkas.stores[name] ?? [], ours.bounds?.[name]);
    if (!same(one, other)) return { what: `store ${name}`, ours: one, kafkas: other };
  }
  return undefined;
}

/** The entries of both stores, sorted, without those that one of them need not have any more. */
function kept(ours: readonly Entry[], kafkas: readonly Entry[], bound: Bound | undefined) {
  const [left, right] = [sorted(ours), sorted(kafkas)];
  if (bound === undefined) return [left, right] as const;
  const isOpen = (entry: string): boolean => {
    return Number((JSON.parse(entry) as Entry)[bound.column]) >= bound.openMs;
  };
  return [left.filter(isOpen), right.filter(isOpen)] as const;
}

/** The results by step and topic, without those of closing records, which may be somewhat older. */
function comparable(outputs: readonly Output[]): Output[] {
  const results = outputs.filter(([, , , , timestampMs]) => timestampMs < CLOSING_MS / 2);
  return results.sort((a, b) => a[0] - b[0] || compare(a[1], b[1]));
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function sorted(entries: readonly Entry[]): string[] {
  return entries.map((entry) => JSON.stringify(entry)).sort();
}

function same(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
