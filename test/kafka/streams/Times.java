import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.streams.errors.StreamsException;
import org.apache.kafka.streams.processor.FailOnInvalidTimestamp;
import org.apache.kafka.streams.processor.LogAndSkipOnInvalidTimestamp;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.processor.UsePartitionTimeOnInvalidTimestamp;

/** Times taken from values, some of them invalid; times.ts has the same. */
class Times {
  /** Those of closing records are left alone. */
  static final long CLOSING_MS = 1_000_000;

  /** Kafka's own policies look at the time of the record alone, which cannot be invalid here. */
  static TimestampExtractor of(String policy) {
    return switch (policy) {
      case "own" -> (record, partitionTime) -> Math.max(0, of(record));
      case "fail" -> new FailOnInvalidTimestamp() {
        @Override
        public long extract(ConsumerRecord<Object, Object> record, long partitionTime) {
          long ms = Values.text(record.value()).equals("11") ? -1 : Math.max(0, of(record));
          return ms < 0 ? onInvalidTimestamp(record, ms, partitionTime) : ms;
        }
      };
      case "skip" -> new LogAndSkipOnInvalidTimestamp() {
        @Override
        public long extract(ConsumerRecord<Object, Object> record, long partitionTime) {
          long ms = of(record);
          return ms < 0 ? onInvalidTimestamp(record, ms, partitionTime) : ms;
        }
      };
      case "previous" -> new UsePartitionTimeOnInvalidTimestamp() {
        @Override
        public long extract(ConsumerRecord<Object, Object> record, long partitionTime) {
          long ms = of(record);
          return ms < 0 ? onInvalidTimestamp(record, ms, partitionTime) : ms;
        }
      };
      default -> throw new IllegalArgumentException("no policy " + policy);
    };
  }

  /** The time that a record will have; negative for none. */
  static long of(String policy, String topic, Object value, long timestampMs) {
    var record = new ConsumerRecord<Object, Object>(topic, 0, 0, timestampMs,
        TimestampType.CREATE_TIME, 0, 0, null, value, new RecordHeaders(), Optional.empty());
    try {
      return of(policy).extract(record, Adapted.TIMES.getOrDefault(topic, -1L));
    } catch (StreamsException failure) {
      return -1;
    }
  }

  private static long of(ConsumerRecord<Object, Object> record) {
    if (record.timestamp() >= CLOSING_MS) return record.timestamp();
    int hash = Functions.hash(record.value());
    return hash % 4 == 0 ? -1 : record.timestamp() + hash % 7;
  }
}
