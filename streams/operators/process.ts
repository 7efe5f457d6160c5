import { closest } from 'fastest-levenshtein';
import { NO_HEADERS } from '../../core/index.ts';
import { able, show } from '../../core/internal.ts';
import type { Forward, Operator, Processor } from '../topology/operator.ts';
import type {
  ForwardedRecord,
  ForwardedTime,
  ForwardOptions,
  ProcessorContext,
  ProcessorSupplier,
  RecordProcessor,
  ValueProcessorContext,
  ValueProcessorSupplier,
} from '../topology/processor.ts';
import { StreamRecord } from '../topology/stream-record.ts';
import { NodeContext, Supplied, type Connections, type NodeParts } from './node-context.ts';
import { synchronous } from './results.ts';

/**
 * Gives each record to a processor of the user's own, which may forward any number of records, at
 * once or later [OP-PROCESS-1]. Keys may change.
 */
export function process<K, V, K2, V2>(
  supplier: ProcessorSupplier<K, V, K2, V2>,
  connections: Connections,
): Operator<K, V, K2, V2> {
  return {
    kind: 'process',
    changesKey: true,
    keyedStores: [],
    start: (forward, context) => {
      const own = new RecordContext<K, V, K2, V2>({ forward, context, connections });
      return new UserProcessor(own, () => supplier(own));
    },
  };
}

/** The same for a processor that keeps the keys, so that no repartition topic follows. */
export function processValues<K, V, V2>(
  supplier: ValueProcessorSupplier<K, V, V2>,
  connections: Connections,
): Operator<K, V, K, V2> {
  return {
    kind: 'process-values',
    changesKey: false,
    keyedStores: [],
    start: (forward, context) => {
      const own = new ValueContext<K, V, V2>({ forward, context, connections });
      return new UserProcessor(own, () => supplier(own));
    },
  };
}

/** Runs a user's processor. */
class UserProcessor<K, V> implements Processor<K, V> {
  readonly #context: NodeContext<K, V>;
  readonly #own: Supplied<RecordProcessor<K, V>>;

  constructor(context: NodeContext<K, V>, supplier: () => RecordProcessor<K, V>) {
    this.#context = context;
    this.#own = new Supplied('process', supplier, isProcessor);
  }

  /** When an entry of a store expires that this node looks after. */
  get deadlineMs(): number {
    return this.#context.expiresMs;
  }

  init(): void {
    this.#own.init();
  }

  process(record: StreamRecord<K, V>): void {
    const context = this.#context;
    context.current = record;
    try {
      synchronous(this.#own.made.process(record));
    } finally {
      context.current = undefined; // also if it fails: the record may be dropped
      context.dropLate();
    }
  }

  advance(streamTimeMs: number): void {
    this.#context.expire(streamTimeMs);
  }

  close(): void {
    this.#own.close();
  }
}

const isProcessor = able('an object with a method process', 'process');

/** What a context is made of. */
interface ContextParts<K2, V2> extends NodeParts {
  readonly forward: Forward<K2, V2>;
}

/** What the contexts of both kinds of processors share. */
class ForwardingContext<K, V, K2, V2> extends NodeContext<K, V> {
  readonly #forward: Forward<K2, V2>;
  readonly #children: ReadonlyMap<string, Forward<unknown, unknown>>;

  constructor({ forward, ...parts }: ContextParts<K2, V2>) {
    super(parts);
    this.#forward = forward;
    this.#children = parts.context.children;
  }

  /** The way to one of the nodes that follow, or to all. */
  protected target({ to }: ForwardOptions): Forward<K2, V2> {
    if (to === undefined) return this.#forward;
    const child = this.#children.get(to);
    if (child === undefined) throw unknownChild(to, [...this.#children.keys()]);
    return child;
  }
}

class RecordContext<K, V, K2, V2>
  extends ForwardingContext<K, V, K2, V2>
  implements ProcessorContext<K2, V2>
{
  forward(record: ForwardedRecord<K2, V2>, options: ForwardOptions = NO_OPTIONS): void {
    const target = this.target(options);
    const isWhole = record instanceof StreamRecord;
    target(isWhole ? (record as StreamRecord<K2, V2>) : this.#made(record));
  }

  #made(record: ForwardedRecord<K2, V2>): StreamRecord<K2, V2> {
    checkFields(record);
    const { key, value, timestampMs, headers } = record;
    if (timestampMs !== undefined) checkTime(timestampMs);
    const { current, punctuationMs } = this;
    if (current !== undefined) {
      const made = current.with(key, value, timestampMs ?? current.timestampMs);
      return headers === undefined ? made : made.withHeaders(headers);
    }
    if (punctuationMs === undefined) throw outside();
    const timeMs = timestampMs ?? punctuationMs;
    return new StreamRecord(key, value, timeMs, headers ?? NO_HEADERS, '', this.partition, -1);
  }
}

class ValueContext<K, V, V2>
  extends ForwardingContext<K, V, K, V2>
  implements ValueProcessorContext<V2>
{
  forward(value: V2, options: ForwardOptions & ForwardedTime = NO_OPTIONS): void {
    const { current } = this;
    if (current === undefined) throw this.punctuationMs === undefined ? outside() : keyless();
    const { timestampMs = current.timestampMs, headers } = options;
    if (timestampMs !== current.timestampMs) checkTime(timestampMs);
    const made = current.with(current.key, synchronous(value), timestampMs);
    this.target(options)(headers === undefined ? made : made.withHeaders(headers));
  }
}

const NO_OPTIONS = {};

/** No topic has another time, and a window of it would not begin anywhere. */
function checkTime(timestampMs: number): void {
  if (Number.isSafeInteger(timestampMs) && timestampMs >= 0) return;
  const needed = 'a timestampMs of whole milliseconds since 1970';
  throw new TypeError(`forward needs ${needed}, not ${show(timestampMs)}`);
}

/** Without types it may be anything, and a misspelt name would be a null. */
function checkFields(record: object): void {
  const isRecord = 'key' in record && 'value' in record;
  if (!isRecord) throw new TypeError(`forward needs { key, value }, not ${show(record)}`);
}

function outside(): TypeError {
  return new TypeError('forward works while a record is processed, and in a punctuation');
}

function keyless(): TypeError {
  return new TypeError(
    'a punctuation has no key, so processValues cannot forward in it; use process',
  );
}

function unknownChild(to: string, names: readonly string[]): TypeError {
  const known = names.length === 0 ? 'nothing follows it' : `it is followed by ${names.join(', ')}`;
  const hint = names.length === 0 ? '' : `; did you mean ${closest(to, names)}?`;
  return new TypeError(`no node ${to} follows it: ${known}${hint}`);
}
