import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.state.WindowBytesStoreSupplier;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.state.internals.InMemoryWindowStore;

/**
 * The rule RETENTION-OF-JOINS: one side of a join, which keeps records longer than it says, for Kafka
 * accepts no other length than its own: by one millisecond, or more if a bound is negative.
 */
record JoinStore(String name, long windowSize, long retentionPeriod, long lifeMs)
    implements WindowBytesStoreSupplier {
  static JoinStore of(String name, JoinWindows windows) {
    long graceMs = windows.gracePeriodMs();
    long lifeMs = Math.max(windows.beforeMs, 0) + Math.max(windows.afterMs, 0) + graceMs + 1;
    return new JoinStore(name, windows.size(), windows.size() + graceMs, lifeMs);
  }

  @Override
  public WindowStore<Bytes, byte[]> get() {
    return new InMemoryWindowStore(name, lifeMs, windowSize, true, metricsScope());
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
