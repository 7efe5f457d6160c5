import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.ValueTransformerWithKey;
import org.apache.kafka.streams.kstream.ValueTransformerWithKeySupplier;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.internals.SessionWindow;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.TimestampedKeyValueStore;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.VersionedKeyValueStore;
import org.apache.kafka.streams.state.WindowStore;

/** Processors and transformers with stores of all kinds; own-stores.ts has the same. */
class OwnStores {
  static final Duration RETENTION = Duration.ofDays(365);
  static final long NEAR_MS = 12;

  /** The stream with the step's processor behind it, or null if that is not one of these. */
  static KStream<Object, Object> add(KStream<Object, Object> stream, JsonNode step) {
    String name = step.path("store").asText();
    var serde = Topologies.SERDE;
    return switch (step.get("fn").asText()) {
      case "windows" -> stream.process(with(Stores.windowStoreBuilder(
          Stores.inMemoryWindowStore(name, RETENTION, Duration.ofMillis(10), false), serde, serde),
          () -> new InWindows(name)));
      case "records" -> stream.process(with(Stores.windowStoreBuilder(
          Stores.inMemoryWindowStore(name, RETENTION, Duration.ofMillis(10), true), serde, serde),
          () -> new NearRecords(name)));
      case "sessions" -> stream.process(with(Stores.sessionStoreBuilder(
          Stores.inMemorySessionStore(name, RETENTION), serde, serde), () -> new InSessions(name)));
      case "versions" -> stream.process(with(Stores.versionedKeyValueStoreBuilder(
          Stores.persistentVersionedKeyValueStore(name, Duration.ofMillis(20)), serde, serde),
          () -> new Versions(name)));
      case "reads" -> {
        String table = step.get("with").get("topic").asText();
        boolean isGlobal = step.get("with").get("from").asText().equals("global");
        ProcessorSupplier<Object, Object, Object, Object> reads = () -> new Reads(table);
        yield isGlobal ? stream.process(reads) : stream.process(reads, table);
      }
      default -> null;
    };
  }

  static <S extends StateStore> ProcessorSupplier<Object, Object, Object, Object> with(
      StoreBuilder<S> store, ProcessorSupplier<Object, Object, Object, Object> supplier) {
    return new ProcessorSupplier<>() {
      @Override
      public Processor<Object, Object, Object, Object> get() {
        return supplier.get();
      }

      @Override
      public Set<StoreBuilder<?>> stores() {
        return Set.of(store);
      }
    };
  }

  /** The table with the step's transformer behind it. */
  static KTable<Object, Object> transform(StreamsBuilder builder, KTable<Object, Object> table,
      JsonNode step) {
    String counts = step.get("store").asText() + "-counts";
    builder.addStateStore(Stores.timestampedKeyValueStoreBuilder(
        Stores.inMemoryKeyValueStore(counts), Topologies.SERDE, Topologies.SERDE));
    ValueTransformerWithKeySupplier<Object, Object, Object> supplier = () -> new Counted(counts);
    return table.transformValues(supplier, Topologies.store(step), counts);
  }

  /** Numbers of records in windows of 10 ms: those of the key near the record. */
  static class InWindows extends ContextualProcessor<Object, Object, Object, Object> {
    final String name;
    WindowStore<Object, Object> store;

    InWindows(String name) {
      this.name = name;
    }

    @Override
    public void init(ProcessorContext<Object, Object> context) {
      super.init(context);
      store = context.getStateStore(name);
    }

    @Override
    public void process(Record<Object, Object> record) {
      Object key = Processors.present(record.key());
      long timeMs = record.timestamp();
      long startMs = timeMs - timeMs % 10;
      Object old = store.fetch(key, startMs);
      boolean isDeleted = record.value() == null;
      store.put(key, isDeleted ? null : (Object) (old == null ? 1L : (Long) old + 1), startMs);
      var texts = new StringBuilder();
      try (var near = store.fetch(key, Math.max(0, timeMs - NEAR_MS), timeMs + NEAR_MS)) {
        near.forEachRemaining(each -> texts.append(each.key).append('=').append(each.value).append(' '));
      }
      try (var all = store.backwardFetchAll(Math.max(0, timeMs - NEAR_MS), timeMs)) {
        all.forEachRemaining(each -> texts.append(Values.text(each.key.key())));
      }
      context().forward(record.withValue((Object) Functions.cut(texts.toString())));
    }
  }

  /** All records of the key near each record, also several of one time. */
  static class NearRecords extends ContextualProcessor<Object, Object, Object, Object> {
    final String name;
    WindowStore<Object, Object> store;

    NearRecords(String name) {
      this.name = name;
    }

    @Override
    public void init(ProcessorContext<Object, Object> context) {
      super.init(context);
      store = context.getStateStore(name);
    }

    @Override
    public void process(Record<Object, Object> record) {
      Object key = Processors.present(record.key());
      long timeMs = record.timestamp();
      if (record.value() != null) store.put(key, record.value(), timeMs);
      var texts = new StringBuilder();
      try (var near = store.fetch(key, Math.max(0, timeMs - NEAR_MS), timeMs + NEAR_MS)) {
        near.forEachRemaining(each -> texts.append(each.key).append('=').append(Values.text(each.value)).append(' '));
      }
      context().forward(record.withValue((Object) Functions.cut(texts.toString())));
    }
  }

  /** Sessions with a gap of 4 ms, merged by hand. */
  static class InSessions extends ContextualProcessor<Object, Object, Object, Object> {
    final String name;
    SessionStore<Object, Object> store;

    InSessions(String name) {
      this.name = name;
    }

    @Override
    public void init(ProcessorContext<Object, Object> context) {
      super.init(context);
      store = context.getStateStore(name);
    }

    @Override
    public void process(Record<Object, Object> record) {
      Object key = Processors.present(record.key());
      long timeMs = record.timestamp();
      List<KeyValue<Windowed<Object>, Object>> found = new ArrayList<>();
      try (var sessions = store.findSessions(key, Math.max(0, timeMs - 4), timeMs + 4)) {
        sessions.forEachRemaining(found::add);
      }
      long startMs = timeMs;
      long endMs = timeMs;
      String text = Values.text(record.value());
      for (var each : found) {
        startMs = Math.min(startMs, each.key.window().start());
        endMs = Math.max(endMs, each.key.window().end());
        text = Values.text(each.value) + "," + text;
        store.remove(each.key);
      }
      text = Functions.cut(text);
      if (record.value() != null) {
        store.put(new Windowed<>(key, new SessionWindow(startMs, endMs)), text);
      }
      context().forward(record.withValue((Object) (startMs + ".." + endMs + " " + text)));
    }
  }

  /** What a put did, and what was there some time before. */
  static class Versions extends ContextualProcessor<Object, Object, Object, Object> {
    final String name;
    VersionedKeyValueStore<Object, Object> store;

    Versions(String name) {
      this.name = name;
    }

    @Override
    public void init(ProcessorContext<Object, Object> context) {
      super.init(context);
      store = context.getStateStore(name);
    }

    @Override
    public void process(Record<Object, Object> record) {
      Object key = Processors.present(record.key());
      long code = store.put(key, record.value(), record.timestamp());
      String put = code == VersionedKeyValueStore.PUT_RETURN_CODE_NOT_PUT ? "expired"
          : code == VersionedKeyValueStore.PUT_RETURN_CODE_VALID_TO_UNDEFINED ? "latest" : "past";
      var now = store.get(key);
      var before = store.get(key, record.timestamp() - 5);
      String text = put + " " + (now == null ? "none" : Values.text(now.value()) + "@" + now.timestamp())
          + " " + (before == null ? "none" : Values.text(before.value()) + "@" + before.timestamp());
      context().forward(record.withValue((Object) Functions.cut(text)));
    }
  }

  /** The row of a table, or of a global one. */
  static class Reads extends ContextualProcessor<Object, Object, Object, Object> {
    final String name;
    TimestampedKeyValueStore<Object, Object> store;

    Reads(String name) {
      this.name = name;
    }

    @Override
    public void init(ProcessorContext<Object, Object> context) {
      super.init(context);
      store = context.getStateStore(name);
    }

    @Override
    public void process(Record<Object, Object> record) {
      var row = store.get(Processors.present(record.key()));
      Object with = row == null ? null : Values.text(row.value()) + "@" + row.timestamp();
      context().forward(record.withValue(Functions.join(record.value(), with)));
    }
  }

  /** The number of a row's changes, before its value; every fifth change deletes. */
  static class Counted implements ValueTransformerWithKey<Object, Object, Object> {
    final String name;
    TimestampedKeyValueStore<Object, Object> store;
    org.apache.kafka.streams.processor.ProcessorContext context;

    Counted(String name) {
      this.name = name;
    }

    @Override
    public void init(org.apache.kafka.streams.processor.ProcessorContext given) {
      context = given;
      store = given.getStateStore(name);
    }

    @Override
    public Object transform(Object key, Object value) {
      Object by = Values.text(key);
      var old = store.get(by);
      long count = old == null ? 1 : (Long) old.value() + 1;
      store.put(by, ValueAndTimestamp.make(count, context.timestamp()));
      if (value == null || count % 5 == 0) return null;
      return Functions.cut(count + ":" + Values.text(value));
    }

    @Override
    public void close() {}
  }
}
