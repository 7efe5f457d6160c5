import { expect, test } from 'vitest';
import { configSchema } from './config.ts';
import { ConnectError } from './errors.ts';
import { PluginRegistry, type SinkPlugin, type TransformPlugin } from './plugin.ts';

const sink: SinkPlugin = {
  ...{ kind: 'sink', name: 'ledger', doc: 'Keeps.', config: configSchema({}) },
  create: () => {
    throw new TypeError('not in this test');
  },
};
const transform: TransformPlugin = {
  ...{ kind: 'transform', name: 'Drop', doc: 'Drops.', config: configSchema({}) },
  create: () => () => null,
};

test('[CONNECT-CONFIG-4] plugins are found by name and kind, and names are unique', () => {
  const registry = new PluginRegistry([transform, sink]);
  expect(registry.list().map(({ name }) => name)).toEqual(['Drop', 'ledger']);
  expect(registry.find('ledger', 'source', 'sink')).toBe(sink);
  expect(() => registry.find('Drop', 'source', 'sink')).toThrow(
    'there is no source or sink Drop; did you mean ledger?',
  );
  expect(() => registry.find('x', 'predicate')).toThrow('there is no predicate x; there are none');
  try {
    registry.add(sink);
    expect.unreachable();
  } catch (error) {
    expect(ConnectError.is(error, 'PLUGIN_EXISTS') && error.details.plugin).toBe('ledger');
  }
});
