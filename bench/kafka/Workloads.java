import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.WindowedSerdes;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.WindowStore;

/** The topologies, as workloads.ts has them. */
final class Workloads {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  public static final class Event {
    public String key;
    public long at;
    public int amount;
    public String text;
  }

  public static final class Mapped {
    public String key;
    public long at;
    public int amount;
  }

  @JsonInclude(JsonInclude.Include.NON_NULL)
  public static final class Pair {
    public String key;
    public Integer left;
    public Integer right;
    public long at;
  }

  public static final class Row {
    public int version;
    public String text;
  }

  static final Serde<String> KEY = Serdes.String();
  static final Serde<Event> EVENT = json(Event.class);
  static final Serde<Mapped> MAPPED = json(Mapped.class);
  static final Serde<Pair> PAIR = json(Pair.class);
  static final Serde<Row> ROW = json(Row.class);

  private final Task task;
  private final Runnable onRecord;

  /** @param onRecord called for each record of a restart, a start, and a latency run */
  Workloads(Task task, Runnable onRecord) {
    this.task = task;
    this.onRecord = onRecord;
  }

  void build(StreamsBuilder builder) {
    switch (task.workload()) {
      case "map" -> map(builder);
      case "start", "latency" -> watchedMap(builder);
      case "count" -> count(builder);
      case "table-join" -> tableJoin(builder);
      case "stream-join" -> streamJoin(builder);
      case "restart" -> restart(builder);
      default -> throw new IllegalArgumentException(task.workload());
    }
  }

  private KStream<String, Event> events(StreamsBuilder builder, String name) {
    return builder.stream(task.topic(name), Consumed.with(KEY, EVENT));
  }

  private void map(StreamsBuilder builder) {
    events(builder, "events")
        .mapValues(event -> change(event))
        .to(task.topic("results"), Produced.with(KEY, MAPPED));
  }

  private void watchedMap(StreamsBuilder builder) {
    events(builder, "events")
        .peek((key, event) -> onRecord.run())
        .mapValues(event -> change(event))
        .to(task.topic("results"), Produced.with(KEY, MAPPED));
  }

  private void count(StreamsBuilder builder) {
    events(builder, "events")
        .groupByKey(Grouped.with(KEY, EVENT))
        .windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofMillis(task.windowMs())))
        .count(
            Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("counts")
                .withKeySerde(KEY)
                .withValueSerde(Serdes.Long()))
        .toStream()
        .to(task.topic("results"), Produced.with(windowedKey(), Serdes.Long()));
  }

  Serde<Windowed<String>> windowedKey() {
    return WindowedSerdes.timeWindowedSerdeFrom(String.class, task.windowMs());
  }

  private void tableJoin(StreamsBuilder builder) {
    var table =
        builder.table(
            task.topic("rights"),
            Consumed.with(KEY, EVENT),
            Materialized.<String, Event, KeyValueStore<Bytes, byte[]>>as("rows"));
    events(builder, "lefts")
        .leftJoin(table, (left, right) -> combine(left, right), Joined.with(KEY, EVENT, EVENT))
        .to(task.topic("results"), Produced.with(KEY, PAIR));
  }

  private void streamJoin(StreamsBuilder builder) {
    events(builder, "lefts")
        .join(
            events(builder, "rights"),
            (left, right) -> combine(left, right),
            JoinWindows.ofTimeDifferenceWithNoGrace(Duration.ofMillis(task.windowMs())),
            StreamJoined.with(KEY, EVENT, EVENT).withStoreName("j"))
        .to(task.topic("results"), Produced.with(KEY, PAIR));
  }

  private void restart(StreamsBuilder builder) {
    builder
        .stream(task.topic("rows"), Consumed.with(KEY, ROW))
        .peek((key, row) -> onRecord.run())
        .groupByKey(Grouped.with(KEY, ROW))
        .reduce(
            (before, row) -> row,
            Materialized.<String, Row, KeyValueStore<Bytes, byte[]>>as("newest")
                .withKeySerde(KEY)
                .withValueSerde(ROW))
        .toStream()
        .mapValues(row -> row.version)
        .to(task.topic("results"), Produced.with(KEY, Serdes.Integer()));
  }

  private static Mapped change(Event event) {
    var mapped = new Mapped();
    mapped.key = event.key;
    mapped.at = event.at;
    mapped.amount = event.amount * 2;
    return mapped;
  }

  private static Pair combine(Event left, Event right) {
    var pair = new Pair();
    pair.key = left.key;
    pair.left = left.amount;
    pair.right = right == null ? null : right.amount;
    pair.at = left.at;
    return pair;
  }

  private static <T> Serde<T> json(Class<T> type) {
    var reader = MAPPER.readerFor(type);
    var writer = MAPPER.writerFor(type);
    return Serdes.serdeFrom(
        (topic, value) -> {
          try {
            return value == null ? null : writer.writeValueAsBytes(value);
          } catch (IOException failure) {
            throw new UncheckedIOException(failure);
          }
        },
        (topic, bytes) -> {
          try {
            return bytes == null ? null : reader.<T>readValue(bytes);
          } catch (IOException failure) {
            throw new UncheckedIOException(failure);
          }
        });
  }
}
