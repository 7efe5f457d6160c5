import { configSchema } from '../config.ts';
import type { TransformPlugin } from '../plugin.ts';

const CONFIG = configSchema({});

/** Drops records, those that its predicate chooses: Kafka Connect's `Filter`. */
export const filter: TransformPlugin = {
  kind: 'transform',
  name: 'Filter',
  doc: 'Drops every record; use it with a predicate.',
  config: CONFIG,
  create() {
    return () => null;
  },
};
