import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import type { ConnectRecord } from '../transform.ts';
import { changeFields, TARGET } from './record-part.ts';

const name = (what: string) =>
  field.string({ doc: `The field that gets ${what}.`, optional: true });

const CONFIG = configSchema(
  {
    topicField: name('the name of the topic'),
    partitionField: name("the partition of a sink's record"),
    offsetField: name("the offset of a sink's record"),
    timestampField: name('the event time'),
    staticField: name('staticValue'),
    staticValue: field.string({ doc: 'A value that is always the same.', optional: true }),
    ...TARGET,
  },
  ({ staticField, staticValue }) => {
    if ((staticField === undefined) === (staticValue === undefined)) return [];
    return [{ field: 'staticField', problem: 'it must be given together with staticValue' }];
  },
);

/** Adds fields that tell where a record stands: Kafka Connect's `InsertField`. */
export const insertField: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'InsertField',
  doc: 'Adds topic, partition, offset, event time or a fixed value to the fields.',
  config: CONFIG,
  create(config) {
    const { target, staticValue } = config;
    const topicField = nameOf(config.topicField);
    const partitionField = nameOf(config.partitionField);
    const offsetField = nameOf(config.offsetField);
    const timestampField = nameOf(config.timestampField);
    const staticField = nameOf(config.staticField);
    const added = (record: ConnectRecord): Record<string, unknown> => ({
      ...(topicField !== undefined && { [topicField]: record.topic }),
      ...placed(partitionField, record.partition),
      ...placed(offsetField, record.offset),
      ...placed(timestampField, record.timestampMs),
      ...(staticField !== undefined && { [staticField]: staticValue }),
    });
    return (record) => {
      return changeFields(record, target, (fields) => ({ ...fields, ...added(record) }));
    };
  },
};

/** Kafka Connect marks fields of a schema with `!` or `?` behind the name. */
function nameOf(given: string | undefined): string | undefined {
  return given?.replace(/[!?]$/, '');
}

/** A field of this name, unless there is nothing to tell. */
function placed(name: string | undefined, value: number | undefined): Record<string, unknown> {
  return name === undefined || value === undefined ? {} : { [name]: value };
}
