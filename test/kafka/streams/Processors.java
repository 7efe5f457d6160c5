import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.processor.Cancellable;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorSupplier;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.TimestampedKeyValueStore;
import org.apache.kafka.streams.state.ValueAndTimestamp;

/** The processors of the topologies by name; processors.ts has the same. */
class Processors {
  static final Duration STREAM = Duration.ofMillis(10);
  static final Duration PATIENT = Duration.ofMillis(100_000);
  static final Duration CLOCK = Duration.ofMillis(50);
  static final int CLOCK_COUNT = 3;

  static KStream<Object, Object> add(KStream<Object, Object> stream, JsonNode step) {
    String store = step.path("store").asText();
    return switch (step.get("fn").asText()) {
      case "vary" -> stream.process(Vary::new);
      case "route" -> routed(stream, step.get("name").asText());
      case "sum" -> stream.process(withStore(store, () -> new Sum(store)));
      case "flush" -> stream.process(withStore(store, () -> new Flush(store, intervalOf(step))));
      default -> throw new IllegalArgumentException("no processor " + step);
    };
  }

  static KStream<Object, Object> addValues(KStream<Object, Object> stream, JsonNode step) {
    String store = step.path("store").asText();
    return switch (step.get("fn").asText()) {
      case "vary" -> stream.processValues(VaryValues::new);
      case "place" -> stream.processValues(Place::new);
      case "number" -> stream.processValues(
          new FixedKeyProcessorSupplier<Object, Object, Object>() {
            @Override
            public FixedKeyProcessor<Object, Object, Object> get() {
              return new NumberValues(store, intervalOf(step));
            }

            @Override
            public Set<StoreBuilder<?>> stores() {
              return storeOf(store);
            }
          });
      default -> throw new IllegalArgumentException("no processor of values " + step);
    };
  }

  /** Of punctuations by stream time. */
  private static Duration intervalOf(JsonNode step) {
    return step.path("isPatient").asBoolean() ? PATIENT : STREAM;
  }

  /** The step with another name for its store. */
  static JsonNode withStore(JsonNode step, String store) {
    return ((ObjectNode) step.deepCopy()).put("store", store);
  }

  private static ProcessorSupplier<Object, Object, Object, Object> withStore(String store,
      ProcessorSupplier<Object, Object, Object, Object> supplier) {
    return new ProcessorSupplier<>() {
      @Override
      public Processor<Object, Object, Object, Object> get() {
        return supplier.get();
      }

      @Override
      public Set<StoreBuilder<?>> stores() {
        return storeOf(store);
      }
    };
  }

  private static Set<StoreBuilder<?>> storeOf(String name) {
    return Set.of(Stores.timestampedKeyValueStoreBuilder(Stores.inMemoryKeyValueStore(name),
        Topologies.SERDE, Topologies.SERDE));
  }

  static Object present(Object key) {
    return key == null ? "none" : key;
  }

  static Headers with(Headers headers, String text) {
    return new RecordHeaders(headers).add("p", text.getBytes());
  }

  /** The entries, so that they can be deleted. */
  static List<KeyValue<Object, Object>> listOf(
      KeyValueIterator<Object, ValueAndTimestamp<Object>> entries) {
    var list = new ArrayList<KeyValue<Object, Object>>();
    try (entries) {
      entries.forEachRemaining(entry -> list.add(KeyValue.pair(entry.key, entry.value.value())));
    }
    return list;
  }

  static class Vary extends ContextualProcessor<Object, Object, Object, Object> {
    @Override
    public void process(Record<Object, Object> record) {
      int hash = Functions.hash(record.value());
      for (int copy = 0; copy < hash % 3; copy++) {
        context().forward(new Record<Object, Object>(copy == 0 ? record.key() : "p" + hash % 2,
            Functions.value("with-key", record.key(), record.value()),
            Math.max(0, record.timestamp() - 3 * copy),
            with(record.headers(), String.valueOf(copy))));
      }
    }
  }

  static class Sum extends ContextualProcessor<Object, Object, Object, Object> {
    final String name;
    TimestampedKeyValueStore<Object, Object> store;

    Sum(String name) {
      this.name = name;
    }

    @Override
    public void init(ProcessorContext<Object, Object> context) {
      super.init(context);
      store = context.getStateStore(name);
    }

    @Override
    public void process(Record<Object, Object> record) {
      Object key = present(record.key());
      var old = store.get(key);
      long total = (old == null ? 0 : (Long) old.value()) + Functions.hash(record.value()) % 10;
      boolean isWhole = total % 7 == 0;
      if (isWhole) store.delete(key);
      else store.put(key, ValueAndTimestamp.make(total, record.timestamp()));
      context().forward(record.withValue(isWhole ? null : total));
      context().commit();
    }
  }

  static class Flush extends ContextualProcessor<Object, Object, Object, Object> {
    final String name;
    final Duration every;
    TimestampedKeyValueStore<Object, Object> store;
    Cancellable punctuation;
    int shown;

    Flush(String name, Duration every) {
      this.name = name;
      this.every = every;
    }

    @Override
    public void init(ProcessorContext<Object, Object> context) {
      super.init(context);
      store = context.getStateStore(name);
      if (every == PATIENT) {
        Instant start = Instant.ofEpochMilli(PATIENT.toMillis());
        context.schedule(start, every, PunctuationType.STREAM_TIME, this::flush);
      } else {
        context.schedule(every, PunctuationType.STREAM_TIME, this::flush);
      }
      punctuation = context.schedule(CLOCK, PunctuationType.WALL_CLOCK_TIME, this::show);
    }

    /** Alike on both sides only if the task reads one topic. */
    long nowMs() {
      return every == PATIENT ? 0 : context().currentStreamTimeMs();
    }

    void flush(long timeMs) {
      for (var entry : listOf(store.all())) {
        String text = Functions.cut(timeMs + ":" + Values.text(entry.value));
        context().forward(new Record<>(entry.key, text, timeMs));
        store.delete(entry.key);
      }
    }

    void show(long timeMs) {
      if (++shown == CLOCK_COUNT) punctuation.cancel();
      for (var entry : listOf(store.reverseRange("b", null))) {
        String text = Functions.cut("clock " + timeMs + " " + context().currentSystemTimeMs() + ":"
            + Values.text(entry.value));
        context().forward(new Record<>(entry.key, text, nowMs()));
      }
    }

    @Override
    public void process(Record<Object, Object> record) {
      store.put(present(record.key()),
          ValueAndTimestamp.make(Values.text(record.value()), record.timestamp()));
      if (record.value() != null) return;
      context().forward(record.withValue(String.valueOf(nowMs())));
    }
  }

  static KStream<Object, Object> routed(KStream<Object, Object> stream, String name) {
    var names = List.of(name + "-one", name + "-two");
    var sent = stream.process(() -> new ContextualProcessor<Object, Object, Object, Object>() {
      @Override
      public void process(Record<Object, Object> record) {
        int to = Functions.hash(record.value()) % 3;
        if (to < 2) context().forward(record, names.get(to));
        else context().forward(record);
      }
    });
    return sent
        .mapValues((k, v) -> Functions.value("tag", k, v), Named.as(names.get(0)))
        .merge(sent.mapValues((k, v) -> Functions.value("with-key", k, v), Named.as(names.get(1))));
  }

  static class VaryValues extends ContextualFixedKeyProcessor<Object, Object, Object> {
    @Override
    public void process(FixedKeyRecord<Object, Object> record) {
      int count = Functions.hash(record.value()) % 3;
      Object value = Functions.value("with-key", record.key(), record.value());
      if (count > 0) context().forward(record.withValue(value));
      if (count < 2) return;
      context().forward(record.withTimestamp(Math.max(0, record.timestamp() - 3))
          .withHeaders(with(record.headers(), "older")));
    }
  }

  static class Place extends ContextualFixedKeyProcessor<Object, Object, Object> {
    @Override
    public void process(FixedKeyRecord<Object, Object> record) {
      var place = context().recordMetadata().get();
      context().forward(record.withValue(place.topic() + " " + place.partition() + " "
          + place.offset() + " " + context().taskId() + " " + context().currentStreamTimeMs()));
    }
  }

  static class NumberValues extends ContextualFixedKeyProcessor<Object, Object, Object> {
    final String name;
    final Duration every;
    TimestampedKeyValueStore<Object, Object> store;

    NumberValues(String name, Duration every) {
      this.name = name;
      this.every = every;
    }

    @Override
    public void init(FixedKeyProcessorContext<Object, Object> context) {
      super.init(context);
      store = context.getStateStore(name);
      Instant start = Instant.ofEpochMilli(every == PATIENT ? PATIENT.toMillis() : 3);
      context.schedule(start, every, PunctuationType.STREAM_TIME, timeMs -> {
        for (var entry : listOf(store.all())) store.delete(entry.key);
      });
    }

    @Override
    public void process(FixedKeyRecord<Object, Object> record) {
      Object key = present(record.key());
      var old = store.get(key);
      long count = old == null ? 1 : (Long) old.value() + 1;
      store.put(key, ValueAndTimestamp.make(count, record.timestamp()));
      context().forward(record.withValue(Functions.cut(count + ":" + Values.text(record.value()))));
    }
  }
}
