import type { ConnectRecord } from '../../../connect/index.ts';

/** One record on which the two sides differ. */
export interface Differing {
  /** Of the transform. */
  readonly name: string;
  readonly config: Readonly<Record<string, string>>;
  readonly record: ConnectRecord;
  /** What became of it; `failed` if it was refused, null if it was dropped. */
  readonly ours: unknown;
  readonly kafkas: unknown;
}

/**
 * The differences from Kafka Connect's transforms that are on purpose: docs/KAFKA-DIFFERENCES.md
 * has the reason of each, under the same id.
 */
export const DIFFERENCES: readonly {
  readonly id: string;
  readonly holds: (differing: Differing) => boolean;
}[] = [
  {
    id: 'CAST-RANGE',
    holds: ({ name, ours, config }) => {
      return name === 'Cast' && ours === 'failed' && /int/.test(config['spec']!);
    },
  },
  {
    id: 'CAST-BOOLEANS',
    holds: ({ name, ours, config, record }) => {
      const isText = typeof fieldOf(record, 'a') === 'string';
      return name === 'Cast' && ours === 'failed' && config['spec'] === 'a:boolean' && isText;
    },
  },
  {
    id: 'CAST-TO-TEXT',
    holds: ({ name, kafkas, config }) => {
      return name === 'Cast' && kafkas === 'failed' && config['spec']!.includes('string');
    },
  },
  {
    id: 'DATES-IN-FLATTEN',
    holds: ({ name, kafkas, record, config }) => {
      const part = record[config['target'] === 'key' ? 'key' : 'value'];
      return name === 'Flatten' && kafkas === 'failed' && hasDate(part);
    },
  },
  {
    id: 'FRACTIONS-OF-TIME',
    holds: ({ name, kafkas, record, config }) => {
      const isConverter = name === 'TimestampConverter' && kafkas === 'failed';
      const time = config['field'] === undefined ? record.key : fieldOf(record, config['field']);
      return isConverter && typeof time === 'number' && !Number.isInteger(time);
    },
  },
  {
    id: 'TIMES-WITHOUT-FORMAT',
    holds: ({ name, kafkas, record, config }) => {
      const isConverter = name === 'TimestampConverter' && kafkas === 'failed';
      const time = config['field'] === undefined ? record.key : fieldOf(record, config['field']);
      return isConverter && typeof time === 'string' && config['format'] === undefined;
    },
  },
  {
    id: 'TOMBSTONES',
    holds: ({ name, record, kafkas }) => {
      const isStrict = name === 'HeaderFrom' || name === 'MaskField';
      return isStrict && record.value === null && kafkas === 'failed';
    },
  },
];

function fieldOf({ value }: ConnectRecord, name: string): unknown {
  return (value as Readonly<Record<string, unknown>> | null)?.[name];
}

function hasDate(part: unknown): boolean {
  if (part instanceof Date) return true;
  return typeof part === 'object' && part !== null && Object.values(part).some(hasDate);
}
