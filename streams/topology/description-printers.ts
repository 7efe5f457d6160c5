import type { NodeDescription, StoreDescription, TopologyModel } from './topology-model.ts';

/*
 * Each function prints the whole of a model. Names are the user's and may hold any character.
 */

/** Text in the manner of Kafka's `TopologyDescription`. */
export function asText({ subTopologies, globalTables }: TopologyModel): string {
  const lines = ['Topologies:'];
  for (const { id, nodes, stores } of subTopologies) {
    lines.push(`   Sub-topology: ${id}`);
    for (const node of nodes) lines.push(...textOfNode(node));
    for (const store of stores) lines.push(`    Store: ${textOfStore(store)}`);
  }
  for (const store of globalTables) lines.push(`   Global table: ${textOfStore(store)}`);
  return `${lines.join('\n')}\n`;
}

function textOfNode(node: NodeDescription): string[] {
  const { name, kind, operator, preserves, topics, stores, predecessors, successors } = node;
  const promise = preserves === undefined ? '' : `, preserves: ${preserves}`;
  const condition = node.isIfNeeded ? ', if needed' : '';
  const list = (names: readonly string[]): string =>
    names.length === 0 ? 'none' : names.join(', ');
  const what = {
    source: `Source: ${name} (topics: [${topics.join(', ')}]${condition})`,
    processor: `Processor: ${name} (${operator}, stores: [${stores.join(', ')}]${promise})`,
    sink: `Sink: ${name} (topic: ${topics.join(', ')}${condition})`,
  };
  const lines = [`    ${what[kind]}`];
  if (kind !== 'sink') lines.push(`      --> ${list(successors)}`);
  if (kind !== 'source') lines.push(`      <-- ${list(predecessors)}`);
  return lines;
}

function textOfStore({ name, kind, topic, retentionMs }: StoreDescription): string {
  const life = retentionMs === undefined ? '' : `, retention: ${retentionMs} ms`;
  return `${name} (${kind}, topic: ${topic ?? 'none'}${life})`;
}

/** A Mermaid flowchart: topics, sub-topologies with their nodes, stores. */
export function asMermaid(model: TopologyModel): string {
  const { ids, edges } = drawing(model);
  const text = (name: string): string => name.replaceAll('&', '&amp;').replaceAll('"', '#quot;');
  const lines = ['flowchart TD'];
  for (const { name, isInternal } of model.topics) {
    const [open, close] = isInternal ? ['[[', ']]'] : ['>', ']'];
    lines.push(`  ${ids(`topic ${name}`)}${open}"${text(name)}"${close}`);
  }
  for (const { id, nodes, stores } of model.subTopologies) {
    lines.push(`  subgraph sub${id}["Sub-topology ${id}"]`);
    for (const node of nodes) {
      lines.push(`    ${ids(`node ${id} ${node.name}`)}["${text(label(node))}"]`);
    }
    for (const { name } of stores) lines.push(`    ${ids(`store ${name}`)}[("${text(name)}")]`);
    lines.push('  end');
  }
  for (const { name } of model.globalTables) {
    lines.push(`  ${ids(`store ${name}`)}[("${text(name)}")]`);
  }
  for (const { from, to, isStore } of edges) {
    lines.push(`  ${ids(from)} ${isStore ? '-.-' : '-->'} ${ids(to)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** A graph in the language of Graphviz: topics, sub-topologies with their nodes, stores. */
export function asDot(model: TopologyModel): string {
  const { ids, edges } = drawing(model);
  const text = (name: string): string =>
    `"${name.replaceAll('\\', '\\\\').replaceAll('"', String.raw`\"`)}"`;
  const line = (indent: string, key: string, name: string, shape: string): string =>
    `${indent}${ids(key)} [label=${text(name)}, shape=${shape}];`;
  const lines = ['digraph topology {', '  rankdir=TB;'];
  for (const { name, isInternal } of model.topics) {
    lines.push(line('  ', `topic ${name}`, name, isInternal ? 'cds' : 'larrow'));
  }
  for (const { id, nodes, stores } of model.subTopologies) {
    lines.push(`  subgraph cluster_${id} {`, `    label="Sub-topology ${id}";`);
    for (const node of nodes) {
      lines.push(line('    ', `node ${id} ${node.name}`, label(node), 'box'));
    }
    for (const { name } of stores) lines.push(line('    ', `store ${name}`, name, 'cylinder'));
    lines.push('  }');
  }
  for (const { name } of model.globalTables) {
    lines.push(line('  ', `store ${name}`, name, 'cylinder'));
  }
  for (const { from, to, isStore } of edges) {
    lines.push(`  ${ids(from)} -> ${ids(to)}${isStore ? ' [dir=none, style=dashed]' : ''};`);
  }
  return `${[...lines, '}'].join('\n')}\n`;
}

/** An edge of a drawing, by the keys of its ends. */
interface Edge {
  readonly from: string;
  readonly to: string;
  /** Between a node and a store that it uses: no records flow. */
  readonly isStore: boolean;
}

/** What both drawings have in common: an id for each key, and the edges. */
function drawing({ subTopologies, globalTables }: TopologyModel): {
  readonly ids: (key: string) => string;
  readonly edges: readonly Edge[];
} {
  const known = new Map<string, string>();
  const ids = (key: string): string => {
    let id = known.get(key);
    if (id === undefined) known.set(key, (id = `n${known.size}`));
    return id;
  };
  const edges: Edge[] = [];
  for (const { id, nodes } of subTopologies) {
    const keyOf = (name: string): string => `node ${id} ${name}`;
    for (const { name, kind, topics, stores, successors } of nodes) {
      for (const topic of topics.map((each) => `topic ${each}`)) {
        const [from, to] = kind === 'source' ? [topic, keyOf(name)] : [keyOf(name), topic];
        edges.push({ from, to, isStore: false });
      }
      for (const next of successors) {
        edges.push({ from: keyOf(name), to: keyOf(next), isStore: false });
      }
      for (const store of stores) {
        edges.push({ from: keyOf(name), to: `store ${store}`, isStore: true });
      }
    }
  }
  for (const { name, topic } of globalTables) {
    edges.push({ from: `topic ${topic}`, to: `store ${name}`, isStore: false });
  }
  return { ids, edges };
}

/** A name that does not say what its node does gets that beside it, and what it promises. */
function label({ name, operator, preserves, isIfNeeded }: NodeDescription): string {
  const condition = isIfNeeded ? ['if needed'] : [];
  const promise = preserves === undefined ? [] : [`preserves ${preserves}`];
  const what = operator === undefined || name.startsWith(operator) ? [] : [operator];
  const beside = [...what, ...promise, ...condition];
  return beside.length === 0 ? name : `${name} (${beside.join(', ')})`;
}
