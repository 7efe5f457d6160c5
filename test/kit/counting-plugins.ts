import type { SinkPlugin, SourcePlugin } from '../../connect/index.ts';
import { configSchema, field, type Secret } from '../../connect/config.ts';
import { json, string, topic } from '../../core/index.ts';

/** What `countingSource` writes. */
export const numbers = topic('numbers', { key: string(), value: json<number>() });

const COUNTER = configSchema({
  end: field.integer({ doc: 'Where it ends.', default: 1_000_000_000 }),
  failAt: field.integer({ doc: 'Where it fails.', optional: true }),
  token: field.secret({ doc: 'Unused.', optional: true }),
  extra: field.object({ doc: 'Unused.', default: {} }),
});

interface CounterConfig {
  readonly end: number;
  readonly failAt: number | undefined;
  readonly token: Secret | undefined;
  readonly extra: object;
}

/** `counter`: writes 0, 1, 2 ..., one number a poll. */
export const countingSource: SourcePlugin<CounterConfig> = {
  ...{ kind: 'source', name: 'counter', doc: 'Counts.', config: COUNTER },
  create({ end, failAt }, { name }) {
    return {
      ...{ name, topics: [numbers], isBounded: true },
      open: async ({ offset }) => {
        let next = Number(offset({})?.['next'] ?? 0);
        const poll = async () => {
          if (next === failAt) throw new RangeError('no network');
          if (next >= end) return undefined;
          const records = [{ topic: numbers, key: 'k', value: next++ }];
          return { records, partition: {}, offset: { next } };
        };
        return [{ poll, close: async () => undefined }];
      },
    };
  },
};

/** `forgetter`: reads the numbers and keeps nothing. */
export const forgettingSink: SinkPlugin = {
  ...{ kind: 'sink', name: 'forgetter', doc: 'Forgets.', config: configSchema({}) },
  create(_, { name }) {
    return {
      ...{ name, topics: [numbers], delivery: 'at-least-once' },
      open: async () => ({
        committedOffsets: undefined,
        put: () => undefined,
        commit: async () => undefined,
        close: async () => undefined,
      }),
    };
  },
};
