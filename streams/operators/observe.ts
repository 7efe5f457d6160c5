import type { Operator } from '../topology/operator.ts';

/** Hands records over to those who observe the stream, with the commit that has them [OP-RX-2]. */
export function observe<K, V>(): Operator<K, V, never, never> {
  return {
    kind: 'observe',
    changesKey: false,
    keepsValues: true,
    start: (_, context) => ({ process: (record) => context.publish(record) }),
  };
}
