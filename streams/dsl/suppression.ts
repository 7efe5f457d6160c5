import { msgpack } from '../../core/index.ts';
import { checkArgument, checkOptions, integer } from '../../core/internal.ts';
import { bufferSpec, suppress, suppressedReader, type Suppression } from '../operators/suppress.ts';
import { suppressWindows, windowBufferSpec } from '../operators/suppress-windows.ts';
import { waitingSpec, waitingStoreOf } from '../operators/waiting-queue.ts';
import type { StreamRecord } from '../topology/stream-record.ts';
import type { Windowed } from '../topology/windows.ts';
import { invalid } from './arguments.ts';
import { checkNodeOptions, type SuppressOptions } from './node-options.ts';
import { addOperator, type TableParts, type TableWindows } from './parts.ts';
import { nodeName } from './tables.ts';

/** What `untilWindowCloses` returns. */
export interface UntilWindowCloses {
  readonly until: 'window-closes';
}

/** What `untilTimeLimit` returns. */
export interface UntilTimeLimit extends TimeLimitOptions {
  readonly until: 'time-limit';
}

/** How long a row waits, and how many do. */
export interface TimeLimitOptions {
  /** Milliseconds of stream time from the first change that waits. */
  readonly ms: number;
  /** If more rows wait, those that wait longest are passed on. Default: no limit. */
  readonly maxRecords?: number;
  /** The same by the bytes of keys and values. Default: no limit. */
  readonly maxBytes?: number;
}

/**
 * For `table.suppress`: only the final result of each window is passed on, when it has closed. The
 * buffer has no limit, since nothing may be passed on early; what memory does not hold is on disk.
 */
export function untilWindowCloses(): UntilWindowCloses {
  return { until: 'window-closes' };
}

/**
 * For `table.suppress`: a row is passed on `ms` after its first change, and then as it is. The
 * buffer has no limit unless one is set; what memory does not hold is on disk.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION unless they are whole numbers, the limits at
 *   least one.
 */
export function untilTimeLimit(options: TimeLimitOptions): UntilTimeLimit {
  const checks = { ms: integer(0), maxRecords: integer(1), maxBytes: integer(1) };
  checkOptions('untilTimeLimit', options, checks, ['ms']);
  return { ...options, until: 'time-limit' };
}

/** Adds the operator that holds changes back. */
export function addSuppression<K, V>(
  parts: TableParts<K, V>,
  until: UntilWindowCloses | UntilTimeLimit,
  options: SuppressOptions<NonNullable<V>>,
): TableParts<K, V> {
  checkNodeOptions('suppress', options, ['name', 'store', 'value']);
  const rules = rulesOf<K>(until, parts.windows);
  if (parts.isVersioned) {
    throw invalid(
      'suppress: a versioned table also changes in the past, which nothing can hold back',
    );
  }
  const { graph, node: parent, keySerde, reader } = parts;
  const node = nodeName(graph, 'suppress', options, parent);
  const { store = `${node}-store`, value: valueSerde = parts.valueSerde } = options;
  const serdes = { key: keySerde, value: valueSerde ?? msgpack() };
  const place = { name: node, parents: [parent], errors: options };
  const { innerKey, sizeMs = 0, lifeMs = 0 } = parts.windows ?? {};
  if (rules.isFinal && innerKey !== undefined) {
    const own = { store, node, key: innerKey, value: serdes.value, sizeMs, lifeMs };
    graph.addStore(windowBufferSpec(own));
    addOperator(graph, suppressWindows(own), { ...place, stores: [store] });
  } else {
    graph.addStore(bufferSpec({ store, ...serdes }));
    graph.addStore(waitingSpec(store, serdes.key));
    const stores = [store, waitingStoreOf(store)];
    const operator = suppress<K, NonNullable<V>>({ store, ...serdes, ...rules });
    addOperator(graph, operator, { ...place, stores });
  }
  // Windows leave the table when they close: nobody sees a final result there.
  const isReadable = reader !== undefined && !rules.isFinal;
  return {
    ...parts,
    ...{ node, store: undefined, valueSerde },
    reader: isReadable ? suppressedReader({ store, key: keySerde }, reader) : undefined,
  };
}

type Rules<K> = Omit<Suppression<K, never>, 'store' | 'key' | 'value'>;

function rulesOf<K>(
  until: UntilWindowCloses | UntilTimeLimit,
  windows: TableWindows | undefined,
): Rules<K> {
  const kind = (until as Partial<UntilTimeLimit> | undefined)?.until as string | undefined;
  checkArgument('suppress', 'until', until, () =>
    kind === 'window-closes' || kind === 'time-limit'
      ? undefined
      : 'what untilWindowCloses() or untilTimeLimit() returns',
  );
  if (until.until === 'time-limit') {
    const { ms: durationMs, maxRecords = Infinity, maxBytes = Infinity } = until;
    const fromMs = ({ timestampMs }: StreamRecord<K>) => timestampMs;
    return { fromMs, durationMs, isFinal: false, reachMs: 0, maxRecords, maxBytes };
  }
  if (windows === undefined) {
    throw invalid('suppress: only the windows of a table of windows close; use untilTimeLimit()');
  }
  const fromMs = ({ key }: StreamRecord<K>) => (key as Windowed<unknown>).windowEndMs;
  const { lifeMs: durationMs, sizeMs: reachMs } = windows;
  const noLimits = { maxRecords: Infinity, maxBytes: Infinity };
  return { fromMs, durationMs, isFinal: true, reachMs, ...noLimits };
}
