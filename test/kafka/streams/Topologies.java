import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Function;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Branched;
import org.apache.kafka.streams.kstream.CogroupedKStream;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KGroupedTable;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.Printed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.SessionWindowedCogroupedKStream;
import org.apache.kafka.streams.kstream.SessionWindowedKStream;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TableJoined;
import org.apache.kafka.streams.kstream.TimeWindowedCogroupedKStream;
import org.apache.kafka.streams.kstream.TimeWindowedKStream;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.UnlimitedWindows;
import org.apache.kafka.streams.kstream.ValueJoiner;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers.RocksDBDslStoreSuppliers;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.VersionedBytesStoreSupplier;

/**
 * Builds the topology that a specification describes; millrace.ts does the same, and spec.ts lists
 * the steps. `rules` are ids of differences on purpose: Kafka is made to behave as we do.
 */
class Topologies {
  static final Values SERDE = new Values();
  /**
   * Far more than windows need. With the default, size and grace, a store forgets windows that a
   * jump of time closes before they are passed on.
   */
  static final Duration RETENTION = Duration.ofDays(365);

  final StreamsBuilder builder;
  final Set<String> rules;
  /** By topic: a topic is read once. */
  final Map<String, Object> sources = new HashMap<>();
  /** Those of the current step. */
  List<KStream<Object, Object>> others = List.of();
  /** The topics whose records make up a stream or table. */
  final Map<Object, Set<String>> origins = new IdentityHashMap<>();

  Topologies(StreamsBuilder builder, Set<String> rules) {
    this.builder = builder;
    this.rules = rules;
  }

  void build(JsonNode chain) {
    Object end = chain(chain);
    if (end instanceof KTable) end = table(end).toStream();
    stream(end).to("out", Produced.with(SERDE, SERDE));
  }

  /** A source and the steps behind it: a KStream, a KTable or a GlobalKTable. */
  Object chain(JsonNode chain) {
    String topic = text(chain, "topic");
    Object flow = sources.get(topic);
    if (flow == null) {
      sources.put(topic, flow = source(chain, topic));
      origins.put(flow, Set.of(topic));
    }
    return steps(flow, chain.get("steps"));
  }

  Object source(JsonNode chain, String topic) {
    var consumed = Consumed.with(SERDE, SERDE);
    if (chain.has("times")) {
      consumed = consumed.withTimestampExtractor(Times.of(text(chain, "times")));
    }
    return switch (text(chain, "from")) {
      case "stream" -> Traced.of(KStream.class, builder.stream(topic, consumed));
      case "table" -> Traced.of(KTable.class, builder.table(topic, consumed,
          Materialized.as(Stores.inMemoryKeyValueStore(topic))));
      case "versioned" -> Traced.of(KTable.class, builder.table(topic, consumed,
          Materialized.as(versions(topic, chain))));
      case "global" -> Traced.of(GlobalKTable.class, builder.globalTable(topic, consumed,
          Materialized.as(Stores.inMemoryKeyValueStore(topic))));
      default -> throw new IllegalArgumentException("no source " + chain);
    };
  }

  static VersionedBytesStoreSupplier versions(String name, JsonNode node) {
    return Stores.persistentVersionedKeyValueStore(name, duration(node, "historyMs"));
  }

  Object steps(Object flow, JsonNode steps) {
    for (JsonNode step : steps) {
      Object other = step.path("with").isObject() ? chain(step.get("with")) : flow;
      var feeding = new HashSet<>(origins.get(flow));
      List<KStream<Object, Object>> streams = new ArrayList<>();
      for (JsonNode each : step.path("others")) {
        Object stream = chain(each);
        streams.add(stream(stream));
        feeding.addAll(origins.get(stream));
      }
      others = streams;
      boolean isLookup = flow instanceof KStream && !(other instanceof KStream);
      if (!isLookup) feeding.addAll(origins.get(other));
      flow = flow instanceof KTable ? tableStep(table(flow), step, other)
          : streamStep(stream(flow), step, other);
      origins.put(flow, feeding);
    }
    return flow;
  }

  /** `other` is the second stream or table of the step, if it is not this one. */
  Object streamStep(KStream<Object, Object> stream, JsonNode step, Object other) {
    String fn = step.path("fn").asText();
    return switch (text(step, "op")) {
      case "filter" -> stream.filter((k, v) -> Functions.predicate(fn, k, v));
      case "filterNot" -> stream.filterNot((k, v) -> Functions.predicate(fn, k, v));
      case "mapValues" -> stream.mapValues((k, v) -> Functions.value(fn, k, v));
      case "map" -> stream.map((k, v) -> Functions.pair(fn, k, v));
      case "flatMap" -> stream.flatMap((k, v) -> Functions.pairs(fn, k, v));
      case "flatMapValues" -> stream.flatMapValues((k, v) -> Functions.values(fn, k, v));
      case "selectKey" -> stream.selectKey((k, v) -> Functions.key(fn, k, v));
      case "peek" -> stream.peek((k, v) -> StreamsOracle.note("peek", k, v));
      case "foreach" -> foreach(stream);
      case "print" -> print(stream, text(step, "name"));
      case "fork" -> fork(stream, step);
      case "merge" -> merge(stream, stream(other));
      case "split" -> split(stream, step);
      case "tap" -> tap(stream, text(step, "topic"));
      case "choose" -> choose(stream, step);
      case "repartition" -> repartition(stream, step);
      case "toTable" -> step.has("historyMs")
          ? stream.toTable(Materialized.<Object, Object>as(versions(text(step, "store"), step))
              .withKeySerde(SERDE).withValueSerde(SERDE))
          : stream.toTable(store(step));
      case "count", "reduce", "aggregate" -> aggregate(stream, step);
      case "cogroup" -> cogroup(stream, step);
      case "join", "leftJoin", "outerJoin" -> join(stream, step, other);
      case "process" -> {
        Object made = OwnStores.add(stream, step);
        yield made == null ? Processors.add(stream, step) : made;
      }
      case "processValues" -> Processors.addValues(stream, step);
      default -> throw new IllegalArgumentException("no step of a stream " + step);
    };
  }

  Object merge(KStream<Object, Object> stream, KStream<Object, Object> other) {
    boolean isTwice = stream == other && rules.contains("MERGE-WITH-ITSELF");
    return stream.merge(isTwice ? stream.peek((k, v) -> {}) : other);
  }

  Object split(KStream<Object, Object> stream, JsonNode step) {
    List<KStream<Object, Object>> ends = new ArrayList<>();
    var split = stream.split();
    JsonNode branches = step.get("branches");
    for (JsonNode branch : branches) {
      String fn = branch.path("fn").asText();
      var to = Branched.<Object, Object>withConsumer(given -> {
        var each = Traced.of(KStream.class, given);
        origins.put(each, origins.get(stream));
        ends.add(stream(steps(each, branch.get("steps"))));
      });
      if (fn.isEmpty()) split.defaultBranch(to);
      else split = split.branch((k, v) -> Functions.predicate(fn, k, v), to);
    }
    if (!branches.get(branches.size() - 1).path("fn").asText().isEmpty()) split.noDefaultBranch();
    KStream<Object, Object> merged = ends.get(0);
    for (var each : ends.subList(1, ends.size())) merged = merged.merge(each);
    return merged;
  }

  /** Branches behind the same stream or table, each of which ends in a topic. */
  Object fork(Object flow, JsonNode step) {
    int index = 0;
    for (JsonNode branch : step.get("branches")) {
      Object end = steps(flow, branch.get("steps"));
      tap(end instanceof KTable ? table(end).toStream() : stream(end), "branch-" + index++);
    }
    return flow;
  }

  static Object foreach(KStream<Object, Object> stream) {
    stream.foreach((k, v) -> StreamsOracle.note("foreach", k, v));
    return stream;
  }

  /** Notes what would be printed: `System.out` belongs to the oracle then. */
  static Object print(KStream<Object, Object> stream, String label) {
    stream.print(Printed.<Object, Object>toSysOut().withLabel(label));
    return stream;
  }

  Object tap(KStream<Object, Object> stream, String topic) {
    stream.to(topic, Produced.with(SERDE, SERDE));
    return stream;
  }

  Object repartition(KStream<Object, Object> stream, JsonNode step) {
    String name = text(step, "name");
    if (!rules.contains("NULL-KEYS-IN-REPARTITION")) {
      var repartitioned = Repartitioned.with(SERDE, SERDE).withName(name);
      return stream.repartition(step.has("partitions")
          ? repartitioned.withNumberOfPartitions(step.get("partitions").asInt()) : repartitioned);
    }
    return through(stream, name);
  }

  /** Through one topic, with null keys, too. */
  KStream<Object, Object> through(KStream<Object, Object> stream, String name) {
    String topic = "oracle-" + name;
    stream.to(topic, Produced.with(SERDE, SERDE));
    return Traced.of(KStream.class, builder.stream(topic, Consumed.with(SERDE, SERDE)));
  }

  Object choose(KStream<Object, Object> stream, JsonNode step) {
    String fn = text(step, "fn");
    String yes = step.get("topics").get(0).asText();
    String no = step.get("topics").get(1).asText();
    stream.to((k, v, context) -> Functions.predicate(fn, k, v) ? yes : no,
        Produced.with(SERDE, SERDE));
    return stream;
  }

  // --- aggregations

  KGroupedStream<Object, Object> group(KStream<Object, Object> stream, JsonNode step) {
    var grouped = Grouped.with("by-" + text(step, "store"), SERDE, SERDE);
    boolean isWindowed = step.has("windows");
    if (isWindowed && rules.contains("NULL-VALUES-IN-WINDOWS")) {
      stream = stream.filter((k, v) -> v != null);
    }
    String by = text(step, "by");
    if (by.equals("key")) return stream.groupByKey(grouped);
    return stream.groupBy((k, v) -> Functions.key(by, k, v), grouped);
  }

  Object aggregate(KStream<Object, Object> stream, JsonNode step) {
    String fn = step.path("fn").asText();
    String op = text(step, "op");
    var grouped = group(stream, step);
    Adapted.ORIGINS.put(text(step, "store"), origins.get(stream));
    if (step.path("isPatient").asBoolean()) Adapted.PATIENT.add(text(step, "store"));
    JsonNode windows = step.get("windows");
    if (windows == null) {
      return switch (op) {
        case "count" -> grouped.count(store(step));
        case "reduce" -> grouped.reduce((a, b) -> Functions.reduce(fn, a, b), store(step));
        default -> grouped.aggregate(Functions.NOTHING, (k, v, a) -> Functions.add(fn, k, v, a), store(step));
      };
    }
    if (text(windows, "kind").equals("session")) {
      SessionWindowedKStream<Object, Object> sessions =
          grouped.windowedBy(sessions(windows)).emitStrategy(emit(step));
      return switch (op) {
        case "count" -> sessions.count(store(step));
        case "reduce" -> sessions.reduce((a, b) -> Functions.reduce(fn, a, b), store(step));
        default -> sessions.aggregate(Functions.NOTHING, (k, v, a) -> Functions.add(fn, k, v, a),
            (k, a, b) -> Functions.merge(a, b), store(step));
      };
    }
    TimeWindowedKStream<Object, Object> windowed = windowed(grouped, windows);
    if (emit(step) != EmitStrategy.onWindowUpdate()) windowed = windowed.emitStrategy(emit(step));
    return switch (op) {
      case "count" -> windowed.count(store(step));
      case "reduce" -> windowed.reduce((a, b) -> Functions.reduce(fn, a, b), store(step));
      default -> windowed.aggregate(Functions.NOTHING, (k, v, a) -> Functions.add(fn, k, v, a), store(step));
    };
  }

  TimeWindowedKStream<Object, Object> windowed(KGroupedStream<Object, Object> grouped,
      JsonNode windows) {
    return switch (text(windows, "kind")) {
      case "tumbling", "hopping" -> grouped.windowedBy(times(windows));
      case "sliding" -> grouped.windowedBy(sliding(windows));
      case "unlimited" -> grouped.windowedBy(unlimited(windows));
      default -> throw new IllegalArgumentException("no windows " + windows);
    };
  }

  static TimeWindows times(JsonNode windows) {
    var size = duration(windows, "sizeMs");
    var made = TimeWindows.ofSizeAndGrace(size, duration(windows, "graceMs"));
    return windows.has("advanceMs") ? made.advanceBy(duration(windows, "advanceMs")) : made;
  }

  static SlidingWindows sliding(JsonNode windows) {
    return SlidingWindows.ofTimeDifferenceAndGrace(duration(windows, "differenceMs"),
        duration(windows, "graceMs"));
  }

  static UnlimitedWindows unlimited(JsonNode windows) {
    return UnlimitedWindows.of().startOn(Instant.ofEpochMilli(windows.get("startMs").asLong()));
  }

  static SessionWindows sessions(JsonNode windows) {
    return SessionWindows.ofInactivityGapAndGrace(duration(windows, "gapMs"),
        duration(windows, "graceMs"));
  }

  /** The first moment at which a session has closed: later its store would still find it. */
  static Duration sessionLife(JsonNode windows) {
    return duration(windows, "gapMs").plus(duration(windows, "graceMs")).plusMillis(1);
  }

  static EmitStrategy emit(JsonNode step) {
    boolean isFinal = step.path("emit").asText().equals("final");
    return isFinal ? EmitStrategy.onWindowClose() : EmitStrategy.onWindowUpdate();
  }

  Object cogroup(KStream<Object, Object> stream, JsonNode step) {
    CogroupedKStream<Object, Object> all = null;
    List<KStream<Object, Object>> streams = new ArrayList<>(List.of(stream));
    streams.addAll(others);
    Set<String> feeding = new HashSet<>();
    for (var each : streams) feeding.addAll(origins.get(each));
    Adapted.ORIGINS.put(text(step, "store"), feeding);
    if (step.path("isPatient").asBoolean()) Adapted.PATIENT.add(text(step, "store"));
    int index = 0;
    for (var each : streams) {
      String fn = step.get("fns").get(index).asText();
      var grouped = group(each, Processors.withStore(step, text(step, "store") + "-" + index++));
      all = all == null ? grouped.cogroup((k, v, a) -> Functions.add(fn, k, v, a))
          : all.cogroup(grouped, (k, v, a) -> Functions.add(fn, k, v, a));
    }
    JsonNode windows = step.get("windows");
    if (windows == null) return all.aggregate(Functions.NOTHING, store(step));
    return switch (text(windows, "kind")) {
      case "session" -> {
        SessionWindowedCogroupedKStream<Object, Object> made = all.windowedBy(sessions(windows));
        yield made.aggregate(Functions.NOTHING, (k, a, b) -> Functions.merge(a, b), store(step));
      }
      case "sliding" -> all.windowedBy(sliding(windows)).aggregate(Functions.NOTHING, store(step));
      case "unlimited" -> all.windowedBy(unlimited(windows)).aggregate(Functions.NOTHING, store(step));
      default -> {
        TimeWindowedCogroupedKStream<Object, Object> made = all.windowedBy(times(windows));
        yield made.aggregate(Functions.NOTHING, store(step));
      }
    };
  }

  // --- joins of streams

  Object join(KStream<Object, Object> stream, JsonNode step, Object right) {
    String op = text(step, "op");
    if (right instanceof GlobalKTable) {
      @SuppressWarnings("unchecked") var global = (GlobalKTable<Object, Object>) right;
      String fn = text(step, "fn");
      return op.equals("join")
          ? stream.join(global, (k, v) -> Functions.key(fn, k, v), Functions::join)
          : stream.leftJoin(global, (k, v) -> Functions.key(fn, k, v), Functions::join);
    }
    if (right instanceof KTable) {
      var joined = Joined.with(SERDE, SERDE, SERDE, "join-" + text(step, "name"));
      if (step.has("graceMs")) return graceJoin(stream, step, table(right), joined);
      return op.equals("join") ? stream.join(table(right), Functions::join, joined)
          : stream.leftJoin(table(right), Functions::join, joined);
    }
    boolean isItself = right == stream;
    var feeding = new HashSet<>(origins.get(stream));
    feeding.addAll(origins.get(right));
    boolean isMoved = isRepartitioned(stream) && isRepartitioned(right);
    if (isItself && isMoved && rules.contains("REPARTITION-OF-SELF-JOINS")) {
      right = stream = through(stream, text(step, "name"));
    }
    AdaptedJoin.Unmatched unmatched = null;
    if (!op.equals("join") && rules.contains("UNMATCHED-IN-JOINS")) {
      unmatched = new AdaptedJoin.Unmatched("join-" + text(step, "name"), feeding,
          step.path("isPatient").asBoolean(), isMoved);
      stream = unmatched.tagged(stream);
      right = isItself ? stream : unmatched.tagged(stream(right));
    }
    ValueJoiner<Object, Object, Object> joiner =
        unmatched == null ? Functions::join : unmatched.joiner();
    if (rules.contains("NULL-VALUES-IN-JOINS")) {
      stream = stream.filter((k, v) -> v != null);
      right = isItself ? stream : stream(right).filter((k, v) -> v != null);
    }
    JsonNode windows = step.get("windows");
    Duration before = duration(windows, "beforeMs");
    var between = JoinWindows.ofTimeDifferenceAndGrace(before.abs(), duration(windows, "graceMs"))
        .after(duration(windows, "afterMs")).before(before);
    var joined = StreamJoined.<Object, Object, Object>with(SERDE, SERDE, SERDE)
        .withName("join-" + text(step, "name"));
    if (rules.contains("RETENTION-OF-JOINS")) {
      joined = joined.withThisStoreSupplier(JoinStore.of(text(step, "name") + "-left", between))
          .withOtherStoreSupplier(JoinStore.of(text(step, "name") + "-right", between));
    } else {
      joined = joined.withStoreName(text(step, "name"));
    }
    var made = switch (op) {
      case "join" -> stream.join(stream(right), joiner, between, joined);
      case "leftJoin" -> stream.leftJoin(stream(right), joiner, between, joined);
      default -> stream.outerJoin(stream(right), joiner, between, joined);
    };
    return unmatched == null ? made : unmatched.untagged(made);
  }

  /** Kafka's left join fails at a record without a key; by the rule it is joined at once. */
  KStream<Object, Object> graceJoin(KStream<Object, Object> stream, JsonNode step,
      KTable<Object, Object> right, Joined<Object, Object, Object> with) {
    var joined = with.withGracePeriod(duration(step, "graceMs"));
    Adapted.ORIGINS.put("join-" + text(step, "name"), origins.get(stream));
    if (text(step, "op").equals("join")) return stream.join(right, Functions::join, joined);
    var keyed = stream.filter((k, v) -> k != null).leftJoin(right, Functions::join, joined);
    if (!rules.contains("NULL-KEYS-IN-GRACE-JOINS")) return keyed;
    return keyed.merge(stream.filter((k, v) -> k == null && v != null)
        .mapValues(v -> (Object) Functions.join(v, null)));
  }

  /** Whether a join sends the stream through a repartition topic. */
  static boolean isRepartitioned(Object traced) {
    Object stream = Traced.real(traced);
    try {
      return Adapted.fieldOf(stream.getClass(), "repartitionRequired").getBoolean(stream);
    } catch (IllegalAccessException failure) {
      throw new AssertionError(failure);
    }
  }

  // --- tables

  Object tableStep(KTable<Object, Object> table, JsonNode step, Object other) {
    String fn = step.path("fn").asText();
    return switch (text(step, "op")) {
      case "toStream" -> step.has("fn") ? table.toStream((k, v) -> Functions.key(fn, k, v))
          : table.toStream();
      case "filter" -> isStored(step)
          ? table.filter((k, v) -> Functions.predicate(fn, k, v), store(step))
          : table.filter((k, v) -> Functions.predicate(fn, k, v));
      case "filterNot" -> isStored(step)
          ? table.filterNot((k, v) -> Functions.predicate(fn, k, v), store(step))
          : table.filterNot((k, v) -> Functions.predicate(fn, k, v));
      case "mapValues" -> isStored(step)
          ? table.mapValues((k, v) -> Functions.value(fn, k, v), store(step))
          : table.mapValues((k, v) -> Functions.value(fn, k, v));
      case "count", "reduce", "aggregate" -> aggregateTable(table, step);
      case "join", "leftJoin", "outerJoin" -> joinTables(table, step, table(other));
      case "foreignJoin", "foreignLeftJoin" -> joinByForeignKey(table, step, table(other));
      case "fork" -> fork(table, step);
      case "transformValues" -> OwnStores.transform(builder, table, step);
      case "suppress" -> suppress(table, step);
      default -> throw new IllegalArgumentException("no step of a table " + step);
    };
  }

  Object joinTables(KTable<Object, Object> left, JsonNode step, KTable<Object, Object> right) {
    String join = "join-" + step.path("name").asText(step.path("store").asText("tables"));
    Named name = Named.as(join);
    if (step.has("windows")) {
      Set<String> feeding = new HashSet<>(origins.get(left));
      feeding.addAll(origins.get(right));
      AdaptedTableJoin.expect(join + "-join", feeding, step.get("windows"));
    }
    return switch (text(step, "op")) {
      case "join" -> isStored(step) ? left.join(right, Functions::join, name, keyed(step))
          : left.join(right, Functions::join, name);
      case "leftJoin" -> isStored(step) ? left.leftJoin(right, Functions::join, name, keyed(step))
          : left.leftJoin(right, Functions::join, name);
      default -> isStored(step) ? left.outerJoin(right, Functions::join, name, keyed(step))
          : left.outerJoin(right, Functions::join, name);
    };
  }

  Object joinByForeignKey(KTable<Object, Object> left, JsonNode step, KTable<Object, Object> right) {
    String fn = text(step, "fn");
    TableJoined<Object, Object> joined = TableJoined.as("join-" + text(step, "store"));
    Function<Object, Object> ofValue = v -> Functions.foreignKey(fn, v);
    BiFunction<Object, Object, Object> ofRow = (k, v) -> Functions.foreignKey(k, v);
    boolean isInner = text(step, "op").equals("foreignJoin");
    if (fn.equals("by-row")) {
      return isInner ? left.join(right, ofRow, Functions::join, joined, keyed(step))
          : left.leftJoin(right, ofRow, Functions::join, joined, keyed(step));
    }
    return isInner ? left.join(right, ofValue, Functions::join, joined, keyed(step))
        : left.leftJoin(right, ofValue, Functions::join, joined, keyed(step));
  }

  static boolean isStored(JsonNode step) {
    return step.has("store");
  }

  Object aggregateTable(KTable<Object, Object> table, JsonNode step) {
    String by = text(step, "by");
    String fn = step.path("fn").asText();
    KGroupedTable<Object, Object> grouped = table.groupBy(
        (k, v) -> Functions.pair(by, k, v),
        Grouped.with("by-" + text(step, "store"), SERDE, SERDE));
    return switch (text(step, "op")) {
      case "count" -> grouped.count(store(step));
      case "reduce" -> grouped.reduce((a, b) -> Functions.reduce(fn, a, b),
          (a, b) -> Functions.reduce(text(step, "subtract"), a, b), store(step));
      default -> grouped.aggregate(Functions.NOTHING, (k, v, a) -> Functions.add(fn, k, v, a),
          (k, v, a) -> Functions.add(text(step, "subtract"), k, v, a), store(step));
    };
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  Object suppress(KTable<Object, Object> table, JsonNode step) {
    String buffer = text(step, "store") + "-store";
    Adapted.ORIGINS.put(buffer, origins.get(table));
    if (step.path("windows").path("kind").asText().equals("session")) Adapted.SESSIONS.add(buffer);
    if (!step.has("limitMs")) {
      KTable windowed = table;
      return ((KTable<Windowed<?>, Object>) windowed).suppress(Suppressed
          .untilWindowCloses(Suppressed.BufferConfig.unbounded()).withName(text(step, "store")));
    }
    var config = Suppressed.BufferConfig.maxRecords(step.path("maxRecords").asLong(Long.MAX_VALUE));
    return table.suppress(Suppressed.untilTimeLimit(duration(step, "limitMs"),
        step.has("maxRecords") ? config.emitEarlyWhenFull() : config.withNoBound())
        .withName(text(step, "store")));
  }

  // --- parts

  @SuppressWarnings({"unchecked", "rawtypes"})
  static <V, S extends StateStore> Materialized<Object, V, S> store(JsonNode step) {
    JsonNode windows = step.path("windows");
    String kind = windows.path("kind").asText();
    boolean isSession = kind.equals("session");
    var store = (Materialized) Materialized.as(text(step, "store")).withKeySerde((Serde) SERDE)
        .withValueSerde((Serde) SERDE);
    if (isSession) store.withRetention(sessionLife(windows));
    else if (!kind.isEmpty() && !kind.equals("unlimited")) store.withRetention(RETENTION);
    // In memory, and only there, final results of one time are in the order of their keys.
    if (isSession && step.has("emit")) store.withStoreType(new RocksDBDslStoreSuppliers());
    return store;
  }

  /** A store without windows, whatever the keys. */
  static Materialized<Object, Object, KeyValueStore<Bytes, byte[]>> keyed(JsonNode step) {
    return Materialized.<Object, Object, KeyValueStore<Bytes, byte[]>>as(text(step, "store"))
        .withKeySerde(SERDE).withValueSerde(SERDE);
  }

  @SuppressWarnings("unchecked")
  static KStream<Object, Object> stream(Object flow) {
    return (KStream<Object, Object>) flow;
  }

  @SuppressWarnings("unchecked")
  static KTable<Object, Object> table(Object flow) {
    return (KTable<Object, Object>) flow;
  }

  static Duration duration(JsonNode node, String field) {
    return Duration.ofMillis(node.get(field).asLong());
  }

  static String text(JsonNode node, String field) {
    return node.get(field).asText();
  }
}
