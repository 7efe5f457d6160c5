import type { Serde } from '../../core/index.ts';
import { show } from '../../core/internal.ts';
import { keyText } from '../state/codec.ts';
import type { OperatorNode, TopologyNode } from '../topology/node.ts';
import type { Forward, Operator } from '../topology/operator.ts';
import type { SubTopology, Topology } from '../topology/topology.ts';

/**
 * The topology with a check of each `preserves: 'partition'` [OP-TOPOLOGY-3]: tasks that process a
 * key in two partitions fail. An application cannot do that, for no task knows the keys of another.
 */
export function withPlaceChecks(topology: Topology): Topology {
  const checked = new Map<string, Operator>();
  const operatorOf = (node: OperatorNode): Operator => checked.get(node.name) ?? node.operator;
  for (const subTopology of topology.subTopologies) {
    const nodes = operatorsOf(topology, subTopology);
    for (const node of nodes) {
      if (node.preserves === undefined) continue;
      const places = new KeyPlaces(node.name, node.preserves);
      checked.set(node.name, checkResults(operatorOf(node), places));
      for (const keeper of keepersBehind(node, nodes)) {
        checked.set(keeper.name, checkInput(operatorOf(keeper), places));
      }
    }
  }
  const nodes = topology.nodes.map((node): TopologyNode => {
    return node.kind === 'operator' ? { ...node, operator: operatorOf(node) } : node;
  });
  return { ...topology, nodes };
}

/** Where each key behind a promise, and each one that it meets, has been seen. */
class KeyPlaces {
  readonly #node: string;
  readonly #serde: Serde<unknown>;
  readonly #partitions = new Map<string, number>();

  constructor(node: string, serde: Serde<unknown>) {
    this.#node = node;
    this.#serde = serde;
  }

  /** @throws TypeError if the key was in another partition: the promise is broken. */
  see(key: unknown, partition: number): void {
    if (key === null || key === undefined) return;
    const text = keyText(this.#serde, key);
    const known = this.#partitions.get(text) ?? partition;
    this.#partitions.set(text, known);
    if (known === partition) return;
    throw new TypeError(
      `the key ${show(key)} is in partition ${known} and in partition ${partition}, and ` +
        `${this.#node} has the option { preserves: 'partition' }, which promises that it is in ` +
        'one; without that option the stream is repartitioned',
    );
  }
}

function operatorsOf({ nodes }: Topology, subTopology: SubTopology): OperatorNode[] {
  return nodes.filter((node): node is OperatorNode => {
    return node.kind === 'operator' && subTopology.nodes.includes(node.name);
  });
}

/**
 * The operators that keep what they are given by the keys of this node, and those that share their
 * stores, as the other side of a join does.
 */
function keepersBehind(node: OperatorNode, nodes: readonly OperatorNode[]): OperatorNode[] {
  const found = new Set<OperatorNode>();
  const visit = (name: string): void => {
    for (const child of nodes) {
      if (!child.parents.includes(name) || child.operator.changesKey) continue;
      if (child.stores.length === 0) visit(child.name);
      else if (keyedStoresOf(child).length > 0) found.add(child);
    }
  };
  visit(node.name);
  const stores = [...found].flatMap(keyedStoresOf);
  return nodes.filter((each) => keyedStoresOf(each).some((store) => stores.includes(store)));
}

/** The stores that an operator keeps by the keys of its records. */
function keyedStoresOf({ operator, stores }: OperatorNode): readonly string[] {
  return operator.keyedStores ?? stores;
}

/** Checks the keys of what an operator forwards, to whomever. */
function checkResults(operator: Operator, places: KeyPlaces): Operator {
  const { careful = operator } = operator;
  return {
    ...operator,
    careful: undefined,
    start: (forward, context) => {
      const checking = (to: Forward<unknown, unknown>): Forward<unknown, unknown> => {
        return (record) => {
          places.see(record.key, context.partition);
          to(record);
        };
      };
      const ways = [...context.children].map(([name, to]) => [name, checking(to)] as const);
      return careful.start(checking(forward), { ...context, children: new Map(ways) });
    },
  };
}

/** Checks the keys of what an operator is given. */
function checkInput(operator: Operator, places: KeyPlaces): Operator {
  const { careful = operator } = operator;
  return {
    ...operator,
    careful: undefined,
    start: (forward, context) => {
      const processor = careful.start(forward, context);
      const process = processor.process.bind(processor);
      processor.process = (record) => {
        places.see(record.key, context.partition);
        process(record);
      };
      const processOther = processor.processOther?.bind(processor);
      if (processOther === undefined) return processor;
      processor.processOther = (record) => {
        places.see(record.key, context.partition);
        processOther(record);
      };
      return processor;
    },
  };
}
