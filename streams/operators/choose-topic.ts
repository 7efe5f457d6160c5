import { show } from '../../core/internal.ts';
import type { Operator } from '../topology/operator.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import { synchronous } from './results.ts';
import type { Routed } from './split.ts';

/**
 * Sends each record to the branch of the topic that `choose` returns: the branches have the order
 * of the topics [OP-26].
 */
export function chooseTopic<K, V, T extends { readonly name: string }>(
  topics: readonly T[],
  choose: (record: StreamRecord<K, V>) => T,
): Operator<K, V, K, Routed<V>> {
  return {
    kind: 'choose-topic',
    changesKey: false,
    start: (forward) => ({
      process: (record) => {
        const chosen = synchronous(choose(record));
        const branch = topics.indexOf(chosen);
        if (branch < 0) throw notListed(chosen, topics);
        forward(record.withValue({ branch, value: record.value }));
      },
    }),
  };
}

function notListed(chosen: unknown, topics: readonly { readonly name: string }[]): TypeError {
  const { name } = (chosen ?? {}) as { readonly name?: unknown };
  const what = typeof name === 'string' ? `topic ${name}` : show(chosen);
  const names = topics.map((topic) => topic.name).join(', ');
  return new TypeError(
    `its function chose ${what}; it has to return one of the handles in its list: ${names}`,
  );
}
