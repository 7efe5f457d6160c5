import { configSchema, field, issuesOf, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { dateFormat } from './date-format.ts';

const CONFIG = configSchema(
  {
    topicFormat: field.string({
      ...{ doc: 'The new name: ${topic} and ${timestamp} stand for both.' },
      default: '${topic}-${timestamp}',
    }),
    timestampFormat: field.string({
      ...{ doc: 'Of yyyy, MM, dd, HH, mm, ss, SSS, in UTC.', default: 'yyyyMMdd' },
    }),
  },
  ({ timestampFormat }) => issuesOf('timestampFormat', () => dateFormat(timestampFormat)),
);

/** Sends records to a topic for their time: Kafka Connect's `TimestampRouter`. */
export const timestampRouter: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'TimestampRouter',
  doc: 'Adds the event time to the name of the topic.',
  config: CONFIG,
  create({ topicFormat, timestampFormat }) {
    const format = dateFormat(timestampFormat);
    return (record) => {
      const { topic, timestampMs } = record;
      if (timestampMs === undefined) throw new TypeError('the record has no event time');
      const text = format.format(timestampMs);
      const name = topicFormat.replaceAll('${topic}', topic).replaceAll('${timestamp}', text);
      return { ...record, topic: name };
    };
  },
};
