import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.StreamSupport;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Assignment;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.GroupSubscription;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.FileLogInputStream.FileChannelRecordBatch;
import org.apache.kafka.common.record.internal.FileRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Utils;

/**
 * Performs steps of the tests with Kafka's own code: one step per line of JSON on stdin, one answer
 * per line on stdout. player.ts defines the steps; those that are no `Step` need no broker.
 */
public class Play {
  static final ObjectMapper JSON = new ObjectMapper();
  static final Duration WAIT = Duration.ofMillis(200);

  final String bootstrap;
  final Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
  Admin admin;

  Play(String bootstrap) {
    this.bootstrap = bootstrap;
  }

  public static void main(String[] args) throws Exception {
    var play = new Play(args.length > 0 ? args[0] : "");
    var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    // In a thread, to notice the end of stdin in the middle of a step.
    var steps = Executors.newSingleThreadExecutor();
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String step = line;
      steps.execute(() -> System.out.println(play.answer(step)));
    }
    Runtime.getRuntime().halt(0); // its clients would wait for their broker
  }

  String answer(String step) {
    ObjectNode answer = JSON.createObjectNode();
    try {
      perform(JSON.readTree(step), answer);
    } catch (Throwable failure) {
      failure.printStackTrace();
      answer.put("error", failure.toString());
    }
    return answer.toString();
  }

  void perform(JsonNode step, ObjectNode answer) throws Exception {
    switch (step.get("do").asText()) {
      case "topic" -> createTopic(step);
      case "producer" -> open(step);
      case "begin" -> producer(step).beginTransaction();
      case "send" -> send(step, answer.putArray("offsets"));
      case "offset" -> sendOffset(step);
      case "commit" -> end(step, true);
      case "abort" -> end(step, false);
      case "consume" -> consume(step, answer.putArray("offsets"));
      case "delete" -> deleteRecords(step);
      case "fetch" -> fetch(step, answer.putArray("records"));
      case "committed" -> committed(step, answer.putArray("offsets"));
      case "transaction" -> describe(step, answer);
      case "encode" -> encode(step, answer);
      case "read" -> read(step, answer.putArray("batches"));
      case "partitions" -> partitions(step, answer);
      case "member" -> member(step, answer);
      case "assign" -> assign(step, answer.putObject("assigned"));
      default -> throw new IllegalArgumentException("unknown step " + step);
    }
  }

  void createTopic(JsonNode step) throws Exception {
    Map<String, String> config = new HashMap<>();
    step.get("config").properties().forEach(e -> config.put(e.getKey(), e.getValue().asText()));
    var topic = new NewTopic(text(step, "topic"), step.get("partitions").asInt(), (short) 1);
    admin().createTopics(List.of(topic.configs(config))).all().get();
  }

  void open(JsonNode step) {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", bootstrap);
    config.put("key.serializer", ByteArraySerializer.class);
    config.put("value.serializer", ByteArraySerializer.class);
    config.put("compression.type", text(step, "codec"));
    config.put("enable.idempotence", step.get("isIdempotent").asBoolean());
    config.put("acks", "all");
    config.put("linger.ms", 60_000); // `flush` sends: a step is a batch
    config.put("batch.size", 1_000_000);
    String name = text(step, "producer");
    boolean isTransactional = step.get("isTransactional").asBoolean();
    if (isTransactional) config.put("transactional.id", name);
    var producer = new KafkaProducer<byte[], byte[]>(config);
    producers.put(name, producer);
    if (isTransactional) producer.initTransactions();
  }

  void send(JsonNode step, ArrayNode offsets) throws Exception {
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    for (JsonNode each : step.get("records")) {
      sent.add(producer(step).send(new ProducerRecord<>(text(step, "topic"),
          step.get("partition").asInt(), each.get("timestampMs").asLong(), bytes(each.get("key")),
          bytes(each.get("value")), List.of(headers(each)))));
    }
    producer(step).flush();
    for (var each : sent) offsets.add(each.get().offset());
  }

  @SuppressWarnings("removal") // for a constructor that takes a group without members
  void sendOffset(JsonNode step) throws Exception {
    var place = new TopicPartition(text(step, "topic"), step.get("partition").asInt());
    var offset = new OffsetAndMetadata(step.get("offset").asLong(), text(step, "metadata"));
    var group = text(step, "group");
    if (step.hasNonNull("producer")) {
      var metadata = new ConsumerGroupMetadata(group);
      producer(step).sendOffsetsToTransaction(Map.of(place, offset), metadata);
      return;
    }
    admin().alterConsumerGroupOffsets(group, Map.of(place, offset)).all().get();
  }

  /** Returns when the markers are written, as Millrace's commit does. */
  void end(JsonNode step, boolean isCommit) throws Exception {
    if (isCommit) producer(step).commitTransaction();
    else producer(step).abortTransaction();
    var id = text(step, "producer");
    for (;;) {
      var state = admin().describeTransactions(List.of(id)).description(id).get().state();
      boolean isComplete = state == TransactionState.COMPLETE_COMMIT
          || state == TransactionState.COMPLETE_ABORT || state == TransactionState.EMPTY;
      if (isComplete) return;
      Thread.sleep(2);
    }
  }

  /** The producer with a transactional id. */
  void describe(JsonNode step, ObjectNode answer) throws Exception {
    var id = text(step, "producer");
    var found = admin().describeTransactions(List.of(id)).description(id).get();
    answer.put("producerId", found.producerId()).put("producerEpoch", found.producerEpoch());
  }

  /** All records of a partition that a consumer gets. */
  void fetch(JsonNode step, ArrayNode records) {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", bootstrap);
    config.put("key.deserializer", ByteArrayDeserializer.class);
    config.put("value.deserializer", ByteArrayDeserializer.class);
    config.put("isolation.level", text(step, "isolationLevel"));
    var places = List.of(new TopicPartition(text(step, "topic"), step.get("partition").asInt()));
    try (var consumer = new KafkaConsumer<byte[], byte[]>(config)) {
      consumer.assign(places);
      consumer.seekToBeginning(places);
      long end = consumer.endOffsets(places).get(places.get(0));
      while (consumer.position(places.get(0)) < end) {
        for (var record : consumer.poll(WAIT)) {
          put(records, record.offset(), record.timestamp(), record.key(), record.value(),
              record.headers());
        }
      }
    }
  }

  /** A group's committed offsets. */
  void committed(JsonNode step, ArrayNode offsets) throws Exception {
    var group = text(step, "group");
    var found = admin().listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
    found.forEach((place, committed) -> offsets.addObject()
        .put("topic", place.topic()).put("partition", place.partition())
        .put("offset", committed.offset()).put("metadata", committed.metadata()));
  }

  void consume(JsonNode step, ArrayNode offsets) throws Exception {
    Map<String, Object> config = new HashMap<>();
    config.put("bootstrap.servers", bootstrap);
    config.put("key.deserializer", ByteArrayDeserializer.class);
    config.put("value.deserializer", ByteArrayDeserializer.class);
    config.put("group.id", text(step, "group"));
    config.put("group.protocol", text(step, "protocol"));
    config.put("auto.offset.reset", "earliest");
    config.put("enable.auto.commit", false);
    config.put("isolation.level", "read_committed");
    var consumer = new KafkaConsumer<byte[], byte[]>(config);
    String topic = text(step, "topic");
    List<TopicPartition> places = new ArrayList<>();
    for (var each : consumer.partitionsFor(topic)) {
      places.add(new TopicPartition(topic, each.partition()));
    }
    places.sort((a, b) -> a.partition() - b.partition());
    consumer.subscribe(List.of(topic));
    while (consumer.assignment().size() < places.size()) consumer.poll(WAIT);
    var ends = consumer.endOffsets(places);
    while (places.stream().anyMatch(place -> consumer.position(place) < ends.get(place))) {
      consumer.poll(WAIT);
    }
    consumer.commitSync();
    for (var place : places) offsets.add(consumer.position(place));
    if (step.get("leaves").asBoolean()) consumer.close();
  }

  void deleteRecords(JsonNode step) throws Exception {
    var place = new TopicPartition(text(step, "topic"), step.get("partition").asInt());
    var upTo = RecordsToDelete.beforeOffset(step.get("offset").asLong());
    admin().deleteRecords(Map.of(place, upTo)).all().get();
  }

  /** One batch, as the producer builds it. */
  static void encode(JsonNode step, ObjectNode answer) {
    var builder = new MemoryRecordsBuilder(ByteBuffer.allocate(1024), RecordBatch.MAGIC_VALUE_V2,
        Compression.of(text(step, "codec")).build(), TimestampType.CREATE_TIME,
        step.get("baseOffset").asLong(), RecordBatch.NO_TIMESTAMP, step.get("producerId").asLong(),
        (short) step.get("producerEpoch").asInt(), step.get("baseSequence").asInt(),
        step.get("isTransactional").asBoolean(), false, 0, Integer.MAX_VALUE);
    for (JsonNode each : step.get("records")) {
      builder.append(each.get("timestampMs").asLong(), bytes(each.get("key")),
          bytes(each.get("value")), headers(each));
    }
    ByteBuffer built = builder.build().buffer();
    answer.put("bytes", text(Utils.toArray(built)));
  }

  /** The content of a `.log`, with its checksums checked. */
  static void read(JsonNode step, ArrayNode batches) throws Exception {
    try (var file = FileRecords.open(new File(text(step, "file")), false)) {
      for (FileChannelRecordBatch batch : file.batches()) {
        batch.ensureValid();
        ObjectNode out = batches.addObject();
        out.put("baseOffset", batch.baseOffset()).put("lastOffset", batch.lastOffset());
        out.put("codec", batch.compressionType().name);
        out.put("producerId", batch.producerId()).put("producerEpoch", batch.producerEpoch());
        out.put("baseSequence", batch.baseSequence()).put("isControl", batch.isControlBatch());
        out.put("isTransactional", batch.isTransactional());
        out.put("maxTimestampMs", batch.maxTimestamp()).put("sizeBytes", batch.sizeInBytes());
        ArrayNode records = out.putArray("records");
        for (Record record : batch) {
          record.ensureValid();
          byte[] key = record.hasKey() ? Utils.toArray(record.key()) : null;
          byte[] value = record.hasValue() ? Utils.toArray(record.value()) : null;
          var headers = List.of(record.headers());
          put(records, record.offset(), record.timestamp(), key, value, headers);
          if (!batch.isControlBatch()) continue;
          out.put("control", ControlRecordType.parse(record.key()).name());
        }
      }
    }
  }

  static void put(ArrayNode records, long offset, long timestampMs, byte[] key, byte[] value,
      Iterable<Header> headers) {
    ObjectNode record = records.addObject();
    record.put("offset", offset).put("timestampMs", timestampMs);
    record.put("key", text(key)).put("value", text(value));
    ArrayNode pairs = record.putArray("headers");
    headers.forEach(header -> pairs.addArray().add(header.key()).add(text(header.value())));
  }

  /** The hash and the partition of each key. */
  static void partitions(JsonNode step, ObjectNode answer) {
    ArrayNode hashes = answer.putArray("hashes");
    ArrayNode partitions = answer.putArray("partitions");
    for (JsonNode key : step.get("keys")) {
      hashes.add(Utils.murmur2(bytes(key)));
      int count = step.get("partitions").asInt();
      partitions.add(BuiltInPartitioner.partitionForKey(bytes(key), count));
    }
  }

  /** A member's subscription and its assignment: the bytes of both. */
  @SuppressWarnings("removal") // as in `sendOffset`
  static void member(JsonNode step, ObjectNode answer) {
    List<String> topics = new ArrayList<>();
    step.get("topics").forEach(each -> topics.add(each.asText()));
    var partitions = places(step.get("partitions"));
    int generation = step.get("generation").asInt();
    var assignor = assignor(step);
    if (generation >= 0) {
      assignor.onAssignment(new Assignment(partitions),
          new ConsumerGroupMetadata("group", generation, "member", Optional.empty()));
    }
    ByteBuffer userData = assignor.subscriptionUserData(Set.copyOf(topics));
    // A member that revokes everything before it joins has nothing then.
    boolean isEager = assignor.supportedProtocols()
        .equals(List.of(ConsumerPartitionAssignor.RebalanceProtocol.EAGER));
    var rack = Optional.ofNullable(step.get("rack").isNull() ? null : text(step, "rack"));
    var subscription = new Subscription(topics, userData, isEager ? List.of() : partitions,
        generation, rack);
    answer.put("subscription",
        text(Utils.toArray(ConsumerProtocol.serializeSubscription(subscription))));
    answer.put("assignment",
        text(Utils.toArray(ConsumerProtocol.serializeAssignment(new Assignment(partitions)))));
  }

  /** The partitions that an assignor gives to members with these subscriptions. */
  static void assign(JsonNode step, ObjectNode assigned) {
    Map<String, Subscription> members = new HashMap<>();
    step.get("members").properties().forEach(member -> {
      var bytes = ByteBuffer.wrap(bytes(member.getValue().get("subscription")));
      var subscription = ConsumerProtocol.deserializeSubscription(bytes);
      var instance = member.getValue().get("groupInstanceId");
      if (instance != null) subscription.setGroupInstanceId(Optional.of(instance.asText()));
      members.put(member.getKey(), subscription);
    });
    var node = new Node(1, "localhost", 1);
    List<PartitionInfo> all = new ArrayList<>();
    step.get("partitions").properties().forEach(topic -> {
      for (int partition = 0; partition < topic.getValue().asInt(); partition++) {
        var nodes = new Node[] {node};
        all.add(new PartitionInfo(topic.getKey(), partition, node, nodes, nodes));
      }
    });
    var cluster = new Cluster("cluster", List.of(node), all, Set.of(), Set.of());
    var result = assignor(step).assign(cluster, new GroupSubscription(members));
    result.groupAssignment().forEach((member, assignment) -> {
      ArrayNode places = assigned.putArray(member);
      assignment.partitions().forEach(place -> places.addObject()
          .put("topic", place.topic()).put("partition", place.partition()));
    });
  }

  static ConsumerPartitionAssignor assignor(JsonNode step) {
    return switch (text(step, "assignor")) {
      case "range" -> new RangeAssignor();
      case "roundrobin" -> new RoundRobinAssignor();
      case "sticky" -> new StickyAssignor();
      default -> new CooperativeStickyAssignor();
    };
  }

  static List<TopicPartition> places(JsonNode list) {
    List<TopicPartition> places = new ArrayList<>();
    list.forEach(each ->
        places.add(new TopicPartition(text(each, "topic"), each.get("partition").asInt())));
    return places;
  }

  Admin admin() {
    if (admin == null) admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    return admin;
  }

  KafkaProducer<byte[], byte[]> producer(JsonNode step) {
    return producers.get(text(step, "producer"));
  }

  static String text(JsonNode node, String field) {
    return node.get(field).asText();
  }

  /** Bytes are text in JSON, one character per byte. */
  static byte[] bytes(JsonNode text) {
    return text.isNull() ? null : text.asText().getBytes(StandardCharsets.ISO_8859_1);
  }

  static String text(byte[] bytes) {
    return bytes == null ? null : new String(bytes, StandardCharsets.ISO_8859_1);
  }

  static Header[] headers(JsonNode record) {
    return StreamSupport.stream(record.get("headers").spliterator(), false)
        .map(pair -> new RecordHeader(pair.get(0).asText(), bytes(pair.get(1))))
        .toArray(Header[]::new);
  }
}
