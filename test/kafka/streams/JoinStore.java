import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.state.WindowBytesStoreSupplier;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.state.internals.InMemoryWindowStore;

/**
 * The rule RETENTION-OF-JOINS: one side of a join, which keeps records one millisecond longer than it
 * says, for Kafka accepts no other length than its own.
 */
record JoinStore(String name, long windowSize, long retentionPeriod)
    implements WindowBytesStoreSupplier {
  static JoinStore of(String name, JoinWindows windows) {
    return new JoinStore(name, windows.size(), windows.size() + windows.gracePeriodMs());
  }

  @Override
  public WindowStore<Bytes, byte[]> get() {
    return new InMemoryWindowStore(name, retentionPeriod + 1, windowSize, true, metricsScope());
  }

  @Override
  public String metricsScope() {
    return "in-memory-window";
  }

  @Override
  public long segmentIntervalMs() {
    return 1;
  }

  @Override
  public boolean retainDuplicates() {
    return true;
  }
}
