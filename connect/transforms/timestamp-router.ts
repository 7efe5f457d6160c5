import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';

const CONFIG = configSchema({
  topicFormat: field.string({
    ...{ doc: 'The new name: ${topic} and ${timestamp} stand for both.' },
    default: '${topic}-${timestamp}',
  }),
  timestampFormat: field.string({
    ...{ doc: 'Of yyyy, MM, dd, HH, mm, ss, in UTC.', default: 'yyyyMMdd' },
  }),
});

/** Sends records to a topic for their time: Kafka Connect's `TimestampRouter`. */
export const timestampRouter: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'TimestampRouter',
  doc: 'Adds the event time to the name of the topic.',
  config: CONFIG,
  create({ topicFormat, timestampFormat }) {
    return (record) => {
      const { topic, timestampMs } = record;
      if (timestampMs === undefined) throw new TypeError('the record has no event time');
      const [date = '', time = ''] = new Date(timestampMs).toISOString().split(/[T.]/);
      const [yyyy = '', MM = '', dd = ''] = date.split('-');
      const [HH = '', mm = '', ss = ''] = time.split(':');
      const parts: Readonly<Record<string, string>> = { yyyy, MM, dd, HH, mm, ss };
      const text = timestampFormat.replace(/yyyy|MM|dd|HH|mm|ss/g, (part) => parts[part] ?? part);
      const name = topicFormat.replaceAll('${topic}', topic).replaceAll('${timestamp}', text);
      return { ...record, topic: name };
    };
  },
};
