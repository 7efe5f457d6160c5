import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';

const CONFIG = configSchema({ headers: field.list({ doc: 'The names of the headers.' }) });

/** Removes headers: Kafka Connect's `DropHeaders`. */
export const dropHeaders: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'DropHeaders',
  doc: 'Removes headers by name.',
  config: CONFIG,
  create({ headers }) {
    const dropped = new Set(headers);
    return (record) => {
      if (!record.headers.some(({ key }) => dropped.has(key))) return record;
      return { ...record, headers: record.headers.filter(({ key }) => !dropped.has(key)) };
    };
  },
};
