import { configSchema, field, type ConfigOf } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';
import { changeFields, TARGET } from './record-part.ts';

const CONFIG = configSchema({
  exclude: field.list({ doc: 'Fields to remove.', default: [] }),
  include: field.list({ doc: 'The only fields to keep; none for all.', default: [] }),
  renames: field.list({ doc: 'Old and new names, such as a:b.', default: [] }),
  ...TARGET,
});

/** Removes and renames fields: Kafka Connect's `ReplaceField`. */
export const replaceField: TransformPlugin<ConfigOf<typeof CONFIG>> = {
  kind: 'transform',
  name: 'ReplaceField',
  doc: 'Keeps, removes and renames fields.',
  config: CONFIG,
  create({ exclude, include, renames, target }) {
    const names = new Map(renames.map((each) => each.split(':') as [string, string]));
    const isKept = (name: string): boolean => {
      return !exclude.includes(name) && (include.length === 0 || include.includes(name));
    };
    return (record) =>
      changeFields(record, target, (fields) => {
        const kept = Object.entries(fields).filter(([name]) => isKept(name));
        return Object.fromEntries(kept.map(([name, value]) => [names.get(name) ?? name, value]));
      });
  },
};
