import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Producers, consumers and topics of the benchmark. */
final class Clients implements AutoCloseable {
  private final Task task;
  final Admin admin;

  Clients(Task task) {
    this.task = task;
    this.admin = Admin.create(Map.of("bootstrap.servers", task.bootstrap()));
  }

  void createTopics(String... names) throws Exception {
    var topics = new ArrayList<NewTopic>();
    for (var name : names) {
      var topic = new NewTopic(task.topic(name), task.partitions(), (short) 1);
      topics.add(topic.configs(Map.of("retention.ms", "-1")));
    }
    admin.createTopics(topics).all().get();
  }

  /** Deletes the run's topics, also those that Streams made. */
  void deleteTopics() throws Exception {
    var names = new ArrayList<>(admin.listTopics().names().get());
    names.removeIf(name -> !name.startsWith(task.run() + "-"));
    admin.deleteTopics(names).all().get();
  }

  KafkaProducer<String, String> producer(int lingerMs) {
    var settings = new Properties();
    settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, task.bootstrap());
    settings.put(ProducerConfig.ACKS_CONFIG, task.acks());
    settings.put(ProducerConfig.LINGER_MS_CONFIG, lingerMs);
    settings.put(ProducerConfig.BATCH_SIZE_CONFIG, 65_536);
    return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
  }

  <K, V> KafkaConsumer<K, V> consumer(
      String isolation, Deserializer<K> key, Deserializer<V> value) {
    var settings = new Properties();
    settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, task.bootstrap());
    settings.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, isolation);
    settings.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 5_000);
    return new KafkaConsumer<>(settings, key, value);
  }

  List<TopicPartition> partitionsOf(String name) {
    return IntStream.range(0, task.partitions())
        .mapToObj(partition -> new TopicPartition(task.topic(name), partition))
        .toList();
  }

  /** How many records of the input the application has committed. */
  long committed() throws Exception {
    var offsets = admin.listConsumerGroupOffsets(task.run()).partitionsToOffsetAndMetadata().get();
    var sum = 0L;
    for (var offset : offsets.values()) if (offset != null) sum += offset.offset();
    return sum;
  }

  /** The lines of a file: topic, time, key and value, apart by tabs. */
  void fill(Path file) throws IOException {
    try (var producer = producer(5);
        var lines = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
      for (var line = lines.readLine(); line != null; line = lines.readLine()) {
        var cells = line.split("\t", 4);
        var at = Long.parseLong(cells[1]);
        producer.send(new ProducerRecord<>(task.topic(cells[0]), null, at, cells[2], cells[3]));
      }
      producer.flush();
    }
  }

  /** Visits all committed records of a topic. */
  <K, V> void readAll(String name, Deserializer<K> key, Deserializer<V> value, Visitor<K, V> visitor) {
    try (var consumer = consumer("read_committed", key, value)) {
      var partitions = partitionsOf(name);
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      var left = new HashMap<>(consumer.endOffsets(partitions));
      while (true) {
        left.entrySet().removeIf(end -> consumer.position(end.getKey()) >= end.getValue());
        if (left.isEmpty()) return;
        for (var record : consumer.poll(Duration.ofMillis(100))) {
          visitor.visit(record.key(), record.value());
        }
      }
    }
  }

  interface Visitor<K, V> {
    void visit(K key, V value);
  }

  @Override
  public void close() {
    admin.close();
  }
}
