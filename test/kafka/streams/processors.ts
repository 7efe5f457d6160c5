import {
  keyValueStore,
  type ProcessorSupplier,
  type StreamsBuilder,
  type ValueProcessorSupplier,
} from '../../../streams/index.ts';
import { SERDE, SERDES, storeOf, type Nullable, type Stream } from './aggregations.ts';
import * as named from './functions.ts';
import type { Step, Value } from './spec.ts';

/*
 * The processors of the topologies by name; Processors.java has the same.
 */

type Supplier = ProcessorSupplier<Nullable, Nullable, Nullable, Nullable>;
type ValueSupplier = ValueProcessorSupplier<Nullable, Nullable, Nullable>;
type Store = ReturnType<typeof addStore>;

/** The intervals of punctuations by stream time and by the clock. */
const STREAM_MS = 10;
const PATIENT_MS = 100_000;
const CLOCK_MS = 50;
/** How often the punctuation by the clock comes until it is cancelled. */
const CLOCK_COUNT = 3;

/** The stream with the step's processor behind it. */
export function process(builder: StreamsBuilder, stream: Stream, step: Step): Stream {
  if (step.fn === 'vary') return stream.process(vary, SERDES);
  if (step.fn === 'route') return routed(stream, step.name ?? '');
  const store = addStore(builder, step);
  const options = { ...SERDES, stores: [store] };
  if (step.fn === 'sum') return stream.process(sum(store), options);
  if (step.fn === 'flush') return stream.process(flush(store, intervalOf(step)), options);
  throw new TypeError(`no processor ${step.fn}`);
}

/** The stream with the step's processor of values behind it. */
export function processValues(builder: StreamsBuilder, stream: Stream, step: Step): Stream {
  if (step.fn === 'vary') return stream.processValues(varyValues, { value: SERDE });
  if (step.fn === 'place') return stream.processValues(place, { value: SERDE });
  const store = addStore(builder, step);
  if (step.fn === 'number') {
    return stream.processValues(numberValues(store, intervalOf(step)), {
      value: SERDE,
      stores: [store],
    });
  }
  throw new TypeError(`no processor of values ${step.fn}`);
}

/** Of punctuations by stream time. */
function intervalOf({ isPatient }: Step): number {
  return isPatient === true ? PATIENT_MS : STREAM_MS;
}

function addStore(builder: StreamsBuilder, step: Step) {
  return builder.addStore(keyValueStore<Value, Value>(storeOf(step), SERDES));
}

/** A key for stores. */
function present(key: Nullable): Value {
  return key ?? 'none';
}

function header(text: string) {
  return { key: 'p', value: Buffer.from(text) };
}

/** None, one or two records: older, the second with another key, and with one header more. */
const vary: Supplier = (context) => ({
  process: ({ key, value, timestampMs, headers }) => {
    const count = named.hash(value) % 3;
    for (let copy = 0; copy < count; copy++) {
      context.forward({
        key: copy === 0 ? key : `p${named.hash(value) % 2}`,
        value: named.mapper('with-key')(key, value),
        timestampMs: Math.max(0, timestampMs - 3 * copy),
        headers: [...headers, header(String(copy))],
      });
    }
  },
});

/** Sums by key, which begin again at multiples of 7. */
function sum(handle: Store): Supplier {
  return (context) => {
    const store = context.store(handle);
    return {
      process: ({ key, value, timestampMs }) => {
        const by = present(key);
        const total = Number(store.get(by) ?? 0) + (named.hash(value) % 10);
        const isWhole = total % 7 === 0;
        if (isWhole) store.delete(by, timestampMs);
        else store.put(by, total, timestampMs);
        context.forward({ key, value: isWhole ? null : total });
        context.commit();
      },
    };
  };
}

/** Keeps records, passes the newest on by stream time, and shows them by the clock. */
function flush(handle: Store, everyMs: number): Supplier {
  return (context) => {
    const store = context.store(handle);
    // Kafka's is that of the task: alike if that reads one topic.
    const nowMs = (): number => (everyMs === PATIENT_MS ? 0 : context.streamTimeMs());
    let shown = 0;
    context.schedule(
      everyMs,
      'stream-time',
      (timeMs) => {
        for (const { key, value } of [...store.all()]) {
          context.forward({ key, value: named.cut(`${timeMs}:${named.text(value)}`) });
          store.delete(key, timeMs);
        }
      },
      everyMs === PATIENT_MS ? { startMs: PATIENT_MS } : {},
    );
    const punctuation = context.schedule(CLOCK_MS, 'wall-clock', (timeMs) => {
      if (++shown === CLOCK_COUNT) punctuation.cancel();
      for (const { key, value } of [...store.reverseRange('b', undefined)]) {
        const text = named.cut(`clock ${timeMs} ${context.wallClockMs()}:${named.text(value)}`);
        context.forward({ key, value: text, timestampMs: nowMs() });
      }
    });
    return {
      process: ({ key, value, timestampMs }) => {
        store.put(present(key), named.text(value), timestampMs);
        if (value === null) context.forward({ key, value: String(nowMs()) });
      },
    };
  };
}

/** To one node that follows, to the other, or to both. */
function routed(stream: Stream, name: string): Stream {
  const [one, two] = [`${name}-one`, `${name}-two`];
  const sent = stream.process<Nullable, Nullable>(
    (context) => ({
      process: (record) => {
        const to = [one, two][named.hash(record.value) % 3];
        context.forward(record, to === undefined ? {} : { to });
      },
    }),
    SERDES,
  );
  const tag = named.mapper('tag');
  const withKey = named.mapper('with-key');
  const ones = sent.mapValues((value, { key }) => tag(key, value), { name: one });
  const twos = sent.mapValues((value, { key }) => withKey(key, value), { name: two });
  return ones.merge(twos);
}

/** None, one or two values, the second older and with a header more. */
const varyValues: ValueSupplier = (context) => ({
  process: ({ key, value, timestampMs, headers }) => {
    const count = named.hash(value) % 3;
    if (count > 0) context.forward(named.mapper('with-key')(key, value));
    if (count < 2) return;
    const olderMs = Math.max(0, timestampMs - 3);
    context.forward(value, { timestampMs: olderMs, headers: [...headers, header('older')] });
  },
});

/** Where each record comes from, and the time reached. */
const place: ValueSupplier = (context) => ({
  process: () => {
    const { topic, partition, offset } = context.recordMetadata()!;
    context.forward(`${topic} ${partition} ${offset} ${context.taskId} ${context.streamTimeMs()}`);
  },
});

/** The number of each record of its key since the last punctuation by stream time. */
function numberValues(handle: Store, everyMs: number): ValueSupplier {
  return (context) => {
    const store = context.store(handle);
    context.schedule(
      everyMs,
      'stream-time',
      (timeMs) => {
        for (const { key } of [...store.all()]) store.delete(key, timeMs);
      },
      { startMs: everyMs === PATIENT_MS ? PATIENT_MS : 3 },
    );
    return {
      process: ({ key, value, timestampMs }) => {
        const count = Number(store.get(present(key)) ?? 0) + 1;
        store.put(present(key), count, timestampMs);
        context.forward(named.cut(`${count}:${named.text(value)}`));
      },
    };
  };
}
