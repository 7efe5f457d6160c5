import com.fasterxml.jackson.databind.JsonNode;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.internals.InternalProcessorContext;

/**
 * The rule STREAM-TIME for a join of windowed tables: it has the time of both, and when a window can
 * change in neither table by that time, it takes no change of it any more.
 */
class AdaptedTableJoin<K, V, K2, V2> extends Adapted.AdaptedProcessor<K, V, K2, V2> {
  /** How long after its end a window may change, by the beginning of its operators' names. */
  private static final Map<String, Long> LIVES = new HashMap<>();

  private final long lifeMs;

  private AdaptedTableJoin(Processor<K, V, K2, V2> inner, String join) {
    super(inner, null, join);
    this.lifeMs = LIVES.get(join);
  }

  static void reset() {
    LIVES.clear();
  }

  static void expect(String join, Set<String> origins, JsonNode windows) {
    Adapted.ORIGINS.put(join, origins);
    long graceMs = windows.get("graceMs").asLong();
    LIVES.put(join, switch (windows.get("kind").asText()) {
      case "sliding" -> graceMs + 1;
      case "session" -> graceMs + windows.get("gapMs").asLong() + 1;
      default -> graceMs;
    });
  }

  /** The processor of one side of such a join, or null. */
  static <K, V, K2, V2> Processor<K, V, K2, V2> of(String name, Processor<K, V, K2, V2> inner) {
    for (String join : LIVES.keySet()) {
      if (name.startsWith(join + "-")) return new AdaptedTableJoin<>(inner, join);
    }
    return null;
  }

  @Override
  public void init(ProcessorContext<K2, V2> given) {
    context = (InternalProcessorContext<K2, V2>) given;
    node = context.currentNode();
    inner.init(given);
  }

  @Override
  public void process(Record<K, V> record) {
    boolean hasTime = Adapted.rules.contains("STREAM-TIME");
    if (hasTime && ((Windowed<?>) record.key()).window().end() + lifeMs <= nowMs()) return;
    inner.process(record);
  }
}
