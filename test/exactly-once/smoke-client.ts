import type { Client } from './client.ts';
import { checkSmoke } from './smoke-check.ts';
import { END_MS, FLUSH, smokeInput } from './smoke-input.ts';
import { avg, data, PARTITIONS, SMOKE_ID, smokeTopic, smokeTopology } from './smoke-topology.ts';

/** All but `avg`, whose values are no integers. */
const OUTPUTS = [
  ...['echo', 'min', 'min-raw', 'min-suppressed', 'max', 'dif', 'sum', 'cnt', 'wcnt', 'tagg'],
  ...['sws-raw', 'sws-suppressed'],
];

export function smokeClient(): Client {
  return {
    applicationId: SMOKE_ID,
    input: data,
    topics: [...OUTPUTS.map(smokeTopic), avg],
    topology: smokeTopology,
    inputOf: (run, before) => {
      const sent = new Set(before.map(({ key, value }) => `${key} ${value}`));
      return smokeInput(run).filter(({ key, value }) => !sent.has(`${key} ${value}`));
    },
    isLimited: true,
    lastInput: Array.from({ length: PARTITIONS }, (_, partition) => {
      return { key: FLUSH, value: 0, timestampMs: END_MS, partition };
    }),
    pace: 2,
    check: checkSmoke,
  };
}
