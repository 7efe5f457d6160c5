import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TopologyConfig;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.errors.StreamsException;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers.InMemoryDslStoreSuppliers;
import org.apache.kafka.streams.state.ReadOnlySessionStore;
import org.apache.kafka.streams.state.TimestampedKeyValueStore;
import org.apache.kafka.streams.state.TimestampedWindowStore;
import org.apache.kafka.streams.state.VersionedKeyValueStore;
import org.apache.kafka.streams.test.TestRecord;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.core.config.Configurator;

/**
 * Runs topologies in Kafka Streams' TopologyTestDriver: one question per line of JSON on stdin, one
 * answer per line on stdout. kafka.ts defines both.
 */
public class StreamsOracle {
  static final ObjectMapper JSON = new ObjectMapper();
  static final Values SERDE = new Values();

  /** Of stores on disk. */
  static Path directory;

  /** What functions saw or printed while a record was processed, as `"topic",key,value`. */
  static final List<String> NOTES = new ArrayList<>();
  /** What is printed. */
  static final ByteArrayOutputStream PRINTED = new ByteArrayOutputStream();

  final JsonNode chain;
  final boolean isMerging;
  final long closingMs;
  final Set<String> rules = new HashSet<>();
  /** The time of the newest record with a key of each topic. */
  final Map<String, Long> newest = new HashMap<>();
  final StringBuilder answer = new StringBuilder("{\"runs\":[");

  public static void main(String[] args) throws Exception {
    Configurator.setLevel("org.apache.kafka", Level.OFF); // it warns of each dropped record
    directory = Files.createTempDirectory("millrace-streams-oracle-");
    var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    System.setOut(new PrintStream(PRINTED, true, StandardCharsets.UTF_8));
    var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String answer;
      try {
        JsonNode question = JSON.readTree(line);
        answer = question.has("operations") ? operations()
            : new StreamsOracle(question).answer.toString();
      } catch (Throwable failure) {
        failure.printStackTrace();
        answer = JSON.createObjectNode().put("error", failure.toString()).toString();
      }
      out.println(answer);
    }
    Utils.delete(directory.toFile());
    Runtime.getRuntime().halt(0);
  }

  static String operations() {
    var answer = JSON.createObjectNode();
    answer.set("all", JSON.valueToTree(Traced.all()));
    answer.set("called", JSON.valueToTree(Traced.called()));
    return answer.toString();
  }

  /** Notes what a function of a topology has seen. */
  static void note(String what, Object key, Object value) {
    NOTES.add("\"~" + what + "\"," + Values.json(key) + "," + Values.json(value));
  }

  StreamsOracle(JsonNode question) {
    chain = question.get("chain");
    isMerging = question.path("isMerging").asBoolean();
    closingMs = question.get("closingMs").asLong();
    question.get("rules").forEach(rule -> rules.add(rule.asText()));
    String comma = "";
    for (JsonNode input : question.get("inputs")) {
      answer.append(comma);
      run(input);
      comma = ",";
    }
    answer.append("]}");
  }

  void run(JsonNode input) {
    Properties config = config();
    newest.clear();
    Adapted.reset(rules);
    var builder = new StreamsBuilder(new TopologyConfig(new StreamsConfig(config)));
    new Topologies(builder, rules).build(chain);
    try (var driver = new TopologyTestDriver(builder.build(config), config, Instant.EPOCH)) {
      answer.append("{\"outputs\":[");
      int first = answer.length();
      int step = 0;
      String stores = null;
      for (JsonNode record : input) {
        if (stores == null && record.path(3).asLong() >= closingMs) stores = stores(driver);
        if (record.path(0).asText().isEmpty()) {
          driver.advanceWallClockTime(Duration.ofMillis(record.path(3).asLong()));
        } else if (!pipe(driver, record)) {
          answer.append("],\"stores\":{},\"failedAt\":").append(step).append('}');
          return;
        }
        for (String topic : new TreeSet<>(driver.producedTopicNames())) {
          if (!topic.startsWith("oracle-")) read(driver, topic, step, first);
        }
        readNotes(step, record.path(3).asLong(), first);
        step++;
      }
      if (stores == null) stores = stores(driver);
      answer.append("],\"stores\":{").append(stores).append("}}");
    }
  }

  /** What functions saw is a result, too, with the time of the input. */
  void readNotes(int step, long timeMs, int first) {
    for (String line : PRINTED.toString(StandardCharsets.UTF_8).lines().toList()) {
      NOTES.add("\"~print\",null," + Values.json(line));
    }
    PRINTED.reset();
    for (String note : NOTES) {
      if (answer.length() > first) answer.append(',');
      answer.append('[').append(step).append(',').append(note).append(',').append(timeMs)
          .append(",[]]");
    }
    NOTES.clear();
  }

  Properties config() {
    var config = new Properties();
    config.put("application.id", "oracle");
    config.put("bootstrap.servers", "none:0");
    config.put("default.key.serde", Values.class);
    config.put("default.value.serde", Values.class);
    config.put("statestore.cache.max.bytes", 0);
    config.put("__emit.interval.ms.kstreams.outer.join.spurious.results.fix__", 0L);
    config.put("dsl.store.suppliers.class", InMemoryDslStoreSuppliers.class);
    config.put("state.dir", directory.toString());
    if (isMerging) config.put("topology.optimization", "merge.repartition.topics");
    if (Adapted.isNeededBy(rules)) config.put("processor.wrapper.class", Adapted.class);
    return config;
  }

  /**
   * A record is [topic, key, value, time, [name, text, ...]]; without a topic, time passes. Returns
   * false if that ended the application.
   */
  boolean pipe(TopologyTestDriver driver, JsonNode record) {
    Headers headers = new RecordHeaders();
    JsonNode given = record.get(4);
    for (int at = 0; at < given.size(); at += 2) {
      byte[] value = given.get(at + 1).asText().getBytes(StandardCharsets.UTF_8);
      headers.add(given.get(at).asText(), value);
    }
    Object key = Values.of(record.get(1));
    Object value = Values.of(record.get(2));
    String topic = record.get(0).asText();
    long timestampMs = record.get(3).asLong();
    if (key != null) newest.merge(topic, timestampMs, Math::max);
    Runnable settle = () -> driver.advanceWallClockTime(Duration.ZERO);
    boolean isExtracted = chain.has("times") && topic.equals(chain.get("topic").asText());
    Adapted.observe(topic, isExtracted ? Times.of(chain.get("times").asText(), topic, value,
        timestampMs) : timestampMs, settle);
    try {
      driver.createInputTopic(topic, SERDE, SERDE)
          .pipeInput(new TestRecord<>(key, value, headers, timestampMs));
    } catch (StreamsException failure) {
      if (chain.has("times")) return false; // one of them was invalid
      throw failure;
    }
    Adapted.observed(settle);
    return true;
  }

  /** A result is [step, topic, key, value, time, [name, text, ...]]. */
  void read(TopologyTestDriver driver, String topic, int step, int first) {
    var results = driver.createOutputTopic(topic, SERDE, SERDE);
    while (!results.isEmpty()) {
      var result = results.readRecord();
      if (answer.length() > first) answer.append(',');
      answer.append('[').append(step).append(",\"").append(topic).append("\",")
          .append(Values.json(result.key())).append(',').append(Values.json(result.value()))
          .append(',').append(result.timestamp()).append(",[");
      String comma = "";
      for (var header : result.headers()) {
        answer.append(comma).append('"').append(header.key()).append("\",\"")
            .append(new String(header.value(), StandardCharsets.UTF_8)).append('"');
        comma = ",";
      }
      answer.append("]]");
    }
  }

  /** The entries of each store; stores.ts says what is in them. */
  String stores(TopologyTestDriver driver) {
    List<String> stores = new ArrayList<>();
    for (var each : driver.getAllStateStores().entrySet()) {
      List<String> entries = new ArrayList<>();
      if (!entries(driver, each.getKey(), each.getValue(), entries)) continue;
      stores.add("\"" + each.getKey() + "\":[" + String.join(",", entries) + "]");
    }
    return String.join(",", stores);
  }

  boolean entries(TopologyTestDriver driver, String name, StateStore store, List<String> entries) {
    if (store instanceof TimestampedKeyValueStore) {
      try (var all = driver.<Object, Object>getTimestampedKeyValueStore(name).all()) {
        all.forEachRemaining(entry -> entries.add("[" + Values.json(entry.key) + ","
            + Values.json(entry.value.value()) + "," + entry.value.timestamp() + "]"));
      }
      return true;
    }
    if (store instanceof TimestampedWindowStore) {
      try (var all = driver.<Object, Object>getTimestampedWindowStore(name).all()) {
        all.forEachRemaining(entry -> entries.add("[" + Values.json(entry.key.key()) + ","
            + entry.key.window().start() + "," + Values.json(entry.value.value()) + ","
            + entry.value.timestamp() + "]"));
      }
      return true;
    }
    if (store instanceof ReadOnlySessionStore) {
      try (var all = driver.<Object, Object>getSessionStore(name).fetch(null, null)) {
        all.forEachRemaining(entry -> entries.add("[" + Values.json(entry.key.key()) + ","
            + entry.key.window().start() + "," + entry.key.window().end() + ","
            + Values.json(entry.value) + "]"));
      }
      return true;
    }
    if (store instanceof VersionedKeyValueStore && newest.containsKey(name)) {
      long newestMs = newest.getOrDefault(name, -1L);
      for (long ms = newestMs - chain.findValue("historyMs").asLong(); ms <= newestMs; ms++) {
        for (String key : List.of("a", "b", "c", "d")) {
          var version = driver.<Object, Object>getVersionedKeyValueStore(name).get(key, ms);
          if (version == null) continue;
          entries.add("[\"" + key + "\"," + ms + "," + Values.json(version.value()) + ","
              + version.timestamp() + "]");
        }
      }
      return true;
    }
    return false;
  }
}
