import java.util.Map;

/** What a process of the benchmark has to do: `Task` in tasks.ts. */
public record Task(
    String workload,
    String step,
    String run,
    String directory,
    String bootstrap,
    String input,
    int records,
    int partitions,
    int keys,
    int windowMs,
    int valueBytes,
    int perSecond,
    String acks,
    Map<String, String> settings) {

  /** The runs share a broker, and have topics of their own. */
  String topic(String name) {
    return run + "-" + name;
  }
}
