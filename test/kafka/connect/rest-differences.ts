/**
 * The requests that ours answers in another way than Kafka Connect, on purpose:
 * docs/KAFKA-DIFFERENCES.md has the reason of each, under the same id.
 */
export const REST_DIFFERENCES: readonly {
  readonly id: string;
  /** The ids of the requests. */
  readonly steps: readonly string[];
}[] = [
  {
    id: 'ERRORS-ARE-JSON',
    steps: [
      ...['root: POST', 'unknown path', 'unknown path below', 'connectors: DELETE'],
      ...['connectors: PUT', 'connectors: Accept html', 'create: text/plain', 'connector: POST'],
      ...['config: DELETE', 'status: PUT', 'topics: GET reset', 'pause: POST', 'restart: PUT'],
      ...['offsets: POST', 'plugins: POST', 'validate: POST', 'logger: DELETE'],
    ],
  },
  { id: 'INITIAL-OFFSETS', steps: ['create: initial_offsets'] },
  {
    id: 'MISTAKES-OF-CALLERS',
    steps: [
      ...['offsets: PATCH no partition', 'offsets: sink with a negative one'],
      'validate: no class',
    ],
  },
  { id: 'NAMES', steps: ['create: name with a blank', 'delete: name with a blank'] },
  { id: 'NAMES-IN-PATCHES', steps: ['config: PATCH name'] },
  { id: 'NO-WADL', steps: ['connectors: OPTIONS'] },
  {
    id: 'TASKS-AT-ONCE',
    steps: [
      ...['create', 'create: PAUSED', 'create: sink', 'config: PUT new'],
      ...['connectors: info', 'connectors: status', 'connectors: both'],
    ],
  },
  { id: 'TYPES-OF-FIELDS', steps: ['plugin config', 'validate', 'validate: mistakes'] },
];
