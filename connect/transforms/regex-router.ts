import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';

const CONFIG = configSchema({
  regex: field.string({ doc: 'Matches the whole name of the topic.' }),
  replacement: field.string({ doc: 'The new name; $1 is the first group.' }),
});

/** Sends records to another topic: Kafka Connect's `RegexRouter`. */
export const regexRouter: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'RegexRouter',
  doc: 'Changes the topic of a record if its name matches.',
  config: CONFIG,
  create({ regex, replacement }) {
    const pattern = new RegExp(`^(?:${regex})$`);
    return (record) => {
      if (!pattern.test(record.topic)) return record;
      return { ...record, topic: record.topic.replace(pattern, replacement) };
    };
  },
};
