import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { currentCommit, type BenchSettings } from '../harness.ts';
import type { WorkloadName } from './tasks.ts';
import { WORKLOADS } from './workloads.ts';

export const RESULTS = fileURLToPath(new URL('results.ndjson', import.meta.url));

export interface KafkaBenchSettings extends Omit<BenchSettings, 'records'> {
  /** Undefined: each workload's own number. */
  readonly records: number | undefined;
  readonly only: readonly WorkloadName[];
  readonly partitions: number;
  /** The size of the state for restarts. */
  readonly stateMb: number;
  /** More settings of Kafka Streams. */
  readonly kafka: Readonly<Record<string, string>>;
}

/**
 * Reads the command line: `--only map,count`, `--records N`, `--rounds N`, `--partitions N`,
 * `--state-mb N`, `--kafka name=value` (any number of times), `--results FILE`, `--smoke`, which
 * keeps no results.
 */
export function kafkaBenchSettings(): KafkaBenchSettings {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      ...{ only: text, records: text, rounds: text, partitions: text, results: text },
      'state-mb': text,
      kafka: { type: 'string', multiple: true },
      smoke: { type: 'boolean', default: false },
    },
  });
  const { smoke } = values;
  const names = Object.keys(WORKLOADS) as WorkloadName[];
  const only = values.only?.split(',') ?? names;
  const unknown = only.filter((name) => !names.includes(name as WorkloadName));
  if (unknown.length > 0)
    throw new TypeError(`--only knows ${names.join()}, not ${unknown.join()}`);
  const pairs = (values.kafka ?? []).map((pair) => pair.split(/=(.*)/s).slice(0, 2));
  const records = values.records ?? (smoke ? '20000' : undefined);
  return {
    records: records === undefined ? undefined : count('records', records),
    rounds: count('rounds', values.rounds ?? (smoke ? '1' : '5')),
    only: only as WorkloadName[],
    partitions: count('partitions', values.partitions ?? '1'),
    stateMb: count('state-mb', values['state-mb'] ?? (smoke ? '10' : '1000')),
    kafka: Object.fromEntries(pairs) as Record<string, string>,
    results: smoke ? undefined : (values.results ?? RESULTS),
    commit: currentCommit(),
    isSmoke: smoke,
  };
}

function count(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new TypeError(`--${name}: not ${value}`);
  return number;
}
