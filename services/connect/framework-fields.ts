import { field, type ConfigField } from '../../connect/index.ts';

/** A field that every connector has, in Kafka Connect's form. */
export interface FrameworkField {
  readonly field: ConfigField<unknown>;
  /** Of which connectors. */
  readonly kind: 'source' | 'sink' | 'both';
  /** As Kafka Connect groups it. */
  readonly group: 'Common' | 'Transforms' | 'Predicates' | 'Error Handling' | 'Commits';
  readonly importance: 'HIGH' | 'MEDIUM' | 'LOW';
  readonly displayName: string;
}

type Importance = FrameworkField['importance'];
type Kind = FrameworkField['kind'];

function fields(
  group: FrameworkField['group'],
  kind: Kind,
  all: Readonly<Record<string, readonly [Importance, string, ConfigField<unknown>]>>,
): Record<string, FrameworkField> {
  const entries = Object.entries(all).map(([name, [importance, displayName, each]]) => {
    return [name, { field: each, kind, group, importance, displayName }] as const;
  });
  return Object.fromEntries(entries);
}

const isOn = (doc: string) => field.boolean({ doc, default: false });
const text = (doc: string) => field.string({ doc, optional: true });

/**
 * What Kafka Connect's clients may say about any connector (ConnectorConfig, SourceConnectorConfig
 * and SinkConnectorConfig), and what a definition has besides. Some fields change nothing, because
 * it is always so: their `doc` says that.
 */
export const FRAMEWORK_FIELDS: Readonly<Record<string, FrameworkField>> = {
  ...fields('Common', 'both', {
    name: ['HIGH', 'Connector name', field.string({ doc: 'Identifies the connector.' })],
    'connector.class': [
      'HIGH',
      'Connector class',
      field.string({ doc: 'The plugin that makes it, such as file-source.' }),
    ],
    'tasks.max': [
      'HIGH',
      'Tasks max',
      field.integer({ doc: 'Kept; the plugin decides about tasks.', default: 1, min: 1 }),
    ],
    'tasks.max.enforce': [
      'LOW',
      'Enforce tasks max',
      field.boolean({ doc: 'Kept, and without effect.', default: true }),
    ],
    'key.converter': ['LOW', 'Key converter class', text('What makes bytes of keys.')],
    'value.converter': ['LOW', 'Value converter class', text('What makes bytes of values.')],
    'header.converter': ['LOW', 'Header converter class', text('The same of headers.')],
    'config.action.reload': [
      'LOW',
      'Reload Action',
      field.choice(['none', 'restart'], {
        ...{ doc: 'Kept: references are resolved at each start.', default: 'restart' },
      }),
    ],
  }),
  ...fields('Transforms', 'both', {
    transforms: [
      'LOW',
      'Transforms',
      field.list({ doc: 'Aliases of transforms: transforms.<alias>.type.', default: [] }),
    ],
  }),
  ...fields('Predicates', 'both', {
    predicates: [
      'LOW',
      'Predicates',
      field.list({ doc: 'Aliases of predicates: predicates.<alias>.type.', default: [] }),
    ],
  }),
  ...fields('Error Handling', 'both', {
    'errors.retry.timeout': [
      'MEDIUM',
      'Retry Timeout for Errors',
      field.integer({
        doc:
          'For how long, in milliseconds, a run that fails is tried again without a commit in ' +
          'between; -1 for ever. Default: 10 times.',
        ...{ optional: true, min: -1 },
      }),
    ],
    'errors.retry.delay.max.ms': [
      'MEDIUM',
      'Maximum Delay Between Retries for Errors',
      field.integer({ doc: 'The longest wait before a try.', default: 60_000, min: 0 }),
    ],
    'errors.tolerance': [
      'MEDIUM',
      'Error Tolerance',
      field.choice(['none', 'all'], {
        ...{ doc: 'Whether the run goes on without bad input.', default: 'none' },
      }),
    ],
    'errors.max': [
      'LOW',
      'Most errors',
      field.integer({ doc: 'How much bad input a run may leave out.', optional: true, min: 0 }),
    ],
    'errors.log.enable': ['MEDIUM', 'Log Errors', isOn('Kept: it is always logged, sparsely.')],
    'errors.log.include.messages': ['MEDIUM', 'Log Error Details', isOn('Kept: they never are.')],
    'errors.deadletterqueue.topic.name': [
      'MEDIUM',
      'Dead Letter Queue Topic Name',
      text('The topic that gets bad input; empty for none.'),
    ],
    'errors.deadletterqueue.topic.replication.factor': [
      'MEDIUM',
      'Dead Letter Queue Topic Replication Factor',
      field.integer({ doc: 'Kept: a log has one copy.', default: 1 }),
    ],
    'errors.deadletterqueue.context.headers.enable': [
      'MEDIUM',
      'Enable Error Context Headers',
      isOn('Kept: dead letters always tell where they come from.'),
    ],
    'retries.max': [
      'LOW',
      'Most retries',
      field.integer({
        ...{ doc: 'How often a run that fails is tried again.', optional: true, min: 0 },
      }),
    ],
    'retries.backoff.ms': [
      'LOW',
      'First delay',
      field.integer({ doc: 'The wait before the first try.', optional: true, min: 0 }),
    ],
  }),
  ...fields('Commits', 'both', {
    'commit.interval.ms': [
      'LOW',
      'Commit interval',
      field.integer({ doc: 'How often it commits.', optional: true, min: 1 }),
    ],
    'commit.records.max': [
      'LOW',
      'Records per commit',
      field.integer({ doc: 'It commits earlier behind so many.', optional: true, min: 1 }),
    ],
  }),
  ...fields('Commits', 'source', {
    'transaction.boundary': [
      'MEDIUM',
      'Transaction boundary',
      field.choice(['poll', 'interval', 'connector'], {
        ...{ doc: 'When the transactions of a source end.', default: 'interval' },
      }),
    ],
    'transaction.boundary.interval.ms': [
      'LOW',
      'Transaction boundary interval',
      field.integer({ doc: 'The same as commit.interval.ms.', optional: true, min: 1 }),
    ],
    'exactly.once.support': [
      'MEDIUM',
      'Exactly-once support',
      field.choice(['requested', 'required'], {
        ...{ doc: 'Kept: a source always is exactly-once.', default: 'requested' },
      }),
    ],
    'offsets.storage.topic': [
      'LOW',
      'Offsets topic',
      field.choice(['connect-offsets'], {
        ...{ doc: 'Where offsets are kept.', default: 'connect-offsets' },
      }),
    ],
  }),
};

/** True if a connector of this kind has the field. */
export function isFieldOf({ kind }: FrameworkField, of: 'source' | 'sink' | undefined): boolean {
  return kind === 'both' || of === undefined || kind === of;
}
