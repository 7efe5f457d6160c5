import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * Kafka's side of the benchmark: does one task, reports each milestone as a line of JSON, then waits
 * on stdin for `check`, and for the end, when it ends too. millrace-process.ts is its counterpart.
 */
public final class Bench {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final int LOOK_MS = 20;
  private static final CountDownLatch CHECK = new CountDownLatch(1);

  private final Task task;
  private final Clients clients;
  private final AtomicLong processed = new AtomicLong();

  private Bench(Task task) {
    this.task = task;
    this.clients = new Clients(task);
  }

  public static void main(String[] args) throws Exception {
    var input = new Thread(Bench::followStdin);
    input.setDaemon(true);
    input.start();
    try {
      new Bench(MAPPER.readValue(args[0], Task.class)).work();
    } catch (Throwable failure) {
      failure.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
  }

  private static void followStdin() {
    try (var lines = new BufferedReader(new InputStreamReader(System.in))) {
      while (lines.readLine() != null) CHECK.countDown();
    } catch (IOException failure) {
      failure.printStackTrace();
    }
    Runtime.getRuntime().halt(0);
  }

  private static void tell(String what, Map<String, ?> facts) throws JsonProcessingException {
    var now = Instant.now();
    var line = new LinkedHashMap<String, Object>();
    line.put("what", what);
    line.put("atMs", now.getEpochSecond() * 1e3 + now.getNano() / 1e6);
    line.putAll(facts);
    System.out.println(MAPPER.writeValueAsString(line));
    System.out.flush();
  }

  private static void progress(long count) throws JsonProcessingException {
    tell("progress", Map.of("count", count));
  }

  private void work() throws Exception {
    tell("loaded", Map.of());
    if (task.step().equals("fill")) {
      fill();
      tell("filled", Map.of());
      return;
    }
    switch (task.workload()) {
      case "produce" -> produce();
      case "consume" -> consume();
      case "latency" -> latency();
      case "restart" -> restart();
      default -> topology();
    }
  }

  private void fill() throws Exception {
    switch (task.workload()) {
      case "produce" -> clients.createTopics("lines");
      case "latency" -> clients.createTopics("events", "results");
      case "consume" -> {
        clients.createTopics("lines");
        send(task.records(), "x".repeat(task.valueBytes()));
      }
      case "restart" -> {
        clients.createTopics("rows", "results");
        fillRows();
      }
      case "table-join", "stream-join" -> {
        clients.createTopics("lefts", "rights", "results");
        clients.fill(Path.of(task.input()));
      }
      default -> {
        clients.createTopics("events", "results");
        clients.fill(Path.of(task.input()));
      }
    }
  }

  private static final String LATER = "{\"version\":2,\"text\":\"x\"}";

  private void fillRows() {
    var text = "x".repeat(task.valueBytes());
    try (var producer = clients.producer(5)) {
      for (var index = 0; index < task.records(); index++) {
        var isFirst = index < task.keys();
        var key = "key-" + (isFirst ? index : index % ((task.keys() + 99) / 100));
        var value = isFirst ? "{\"version\":1,\"text\":\"" + text + "\"}" : LATER;
        producer.send(new ProducerRecord<>(task.topic("rows"), null, (long) index, key, value));
      }
      producer.flush();
    }
  }

  private void send(int count, String value) {
    try (var producer = clients.producer(5)) {
      for (var index = 0; index < count; index++) {
        producer.send(new ProducerRecord<>(task.topic("lines"), value));
      }
      producer.flush();
    }
  }

  private void produce() throws Exception {
    var value = "x".repeat(task.valueBytes());
    var early = task.records() / 5;
    try (var producer = clients.producer(5)) {
      for (var index = 0; index < task.records(); index++) {
        if (index == early) {
          producer.flush();
          progress(index);
        }
        producer.send(new ProducerRecord<>(task.topic("lines"), value));
      }
      producer.flush();
      progress(task.records());
    }
    finish(Map.of());
  }

  private void consume() throws Exception {
    var isEarly = true;
    try (var consumer =
        clients.consumer("read_uncommitted", new StringDeserializer(), new StringDeserializer())) {
      var partitions = clients.partitionsOf("lines");
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      var count = 0;
      while (count < task.records()) {
        for (var record : consumer.poll(Duration.ofMillis(100))) {
          if (record.value().length() == task.valueBytes()) count++;
        }
        if (isEarly && count >= task.records() / 5) {
          progress(count);
          isEarly = false;
        }
      }
      progress(count);
    }
    finish(Map.of());
  }

  private KafkaStreams start(Runnable onRecord) {
    var settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, task.run());
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, task.bootstrap());
    settings.put(StreamsConfig.STATE_DIR_CONFIG, task.directory());
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
    var cores = Runtime.getRuntime().availableProcessors();
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Math.min(task.partitions(), cores));
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 5);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 65_536);
    settings.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    settings.putAll(task.settings());
    var builder = new StreamsBuilder();
    new Workloads(task, onRecord).build(builder);
    var streams = new KafkaStreams(builder.build(settings), settings);
    streams.setUncaughtExceptionHandler(
        failure -> {
          failure.printStackTrace();
          Runtime.getRuntime().halt(1);
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    var hasRun = new AtomicBoolean();
    streams.setStateListener(
        (state, before) -> {
          if (state != KafkaStreams.State.RUNNING || hasRun.getAndSet(true)) return;
          try {
            tell("running", Map.of());
          } catch (JsonProcessingException failure) {
            throw new IllegalStateException(failure);
          }
        });
    streams.start();
    return streams;
  }

  /** Tells the first record. */
  private void see() {
    if (processed.getAndIncrement() > 0) return;
    try {
      tell("first record", Map.of());
    } catch (JsonProcessingException failure) {
      throw new IllegalStateException(failure);
    }
  }

  private void topology() throws Exception {
    var streams = start(this::see);
    try (streams) {
      for (var last = 0L; last < task.records(); Thread.sleep(LOOK_MS)) {
        var now = clients.committed();
        if (now == last) continue;
        progress(now);
        last = now;
      }
      tell("finished", Map.of());
      CHECK.await();
    }
    tell("checked", check());
    clients.deleteTopics();
    tell("ended", Map.of());
  }

  /** Tells the first record, the first commit, and when its keys are complete. */
  private void restart() throws Exception {
    var before = clients.committed();
    start(this::see);
    while (processed.get() == 0) Thread.sleep(1);
    while (clients.committed() == before) Thread.sleep(5);
    tell("first commit", Map.of());
    while (clients.committed() < task.keys()) Thread.sleep(LOOK_MS);
    tell("full", Map.of());
    new CountDownLatch(1).await();
  }

  private void latency() throws Exception {
    try (var streams = start(this::see)) {
      while (streams.state() != KafkaStreams.State.RUNNING) Thread.sleep(10);
      var sender = new Thread(this::sendInTime);
      sender.start();
      var micros = new long[task.records()];
      var count = 0;
      try (var consumer =
          clients.consumer(
              "read_committed", new StringDeserializer(), Workloads.MAPPED.deserializer())) {
        var partitions = clients.partitionsOf("results");
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        while (count < task.records()) {
          for (var record : consumer.poll(Duration.ofMillis(100))) {
            micros[count++] = System.nanoTime() / 1000 - record.value().at;
          }
        }
      }
      sender.join();
      var sorted = Arrays.copyOfRange(micros, count / 2, count); // warm since long
      Arrays.sort(sorted);
      finish(
          Map.of(
              "p50", sorted[sorted.length / 2] / 1e3,
              "p99", sorted[(int) (sorted.length * 0.99)] / 1e3,
              "max", sorted[sorted.length - 1] / 1e3));
    }
  }

  /** Each record when it is due, with that time: what delays the sender counts, too. */
  private void sendInTime() {
    try (var producer = clients.producer(0)) {
      var start = System.nanoTime();
      for (var index = 0; index < task.records(); index++) {
        var due = start + index * 1_000_000_000L / task.perSecond();
        // As our side does: a pause of a millisecond, then all that is due. One for each record
        // takes longer than the tenth of a millisecond between two of them.
        while (System.nanoTime() < due) LockSupport.parkNanos(1_000_000);
        var key = "key-" + index % task.keys();
        var value =
            "{\"key\":\"" + key + "\",\"at\":" + due / 1000
                + ",\"amount\":1,\"text\":\"some words to fill the line\"}";
        producer.send(new ProducerRecord<>(task.topic("events"), key, value));
      }
    }
  }

  /** The number of results and a sum: the same as ours, or one of the two is wrong. */
  private Map<String, Long> check() {
    var sum = new long[1];
    var rows = new long[1];
    switch (task.workload()) {
      case "map", "start" ->
          clients.readAll("results", new StringDeserializer(), Workloads.MAPPED.deserializer(), (key, mapped) -> {
            rows[0]++;
            sum[0] += mapped.amount;
          });
      case "table-join", "stream-join" ->
          clients.readAll("results", new StringDeserializer(), Workloads.PAIR.deserializer(), (key, pair) -> {
            rows[0]++;
            sum[0] += pair.left + (pair.right == null ? 0 : pair.right);
          });
      case "count" -> {
        var counts = new HashMap<String, Long>();
        var key = new Workloads(task, () -> {}).windowedKey().deserializer();
        clients.readAll("results", key, Serdes.Long().deserializer(), (window, count) -> {
          counts.put(window.key() + "@" + window.window().start(), count);
        });
        rows[0] = counts.size();
        for (var count : counts.values()) sum[0] += count;
      }
      default -> throw new IllegalArgumentException(task.workload());
    }
    return Map.of("rows", rows[0], "sum", sum[0]);
  }

  /** Reports what it found, and deletes the topics. */
  private void finish(Map<String, ?> facts) throws Exception {
    tell("finished", facts);
    CHECK.await();
    clients.deleteTopics();
    tell("ended", Map.of());
  }
}
