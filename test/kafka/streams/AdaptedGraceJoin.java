import java.lang.reflect.Method;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.internals.InternalProcessorContext;
import org.apache.kafka.streams.state.internals.TimeOrderedKeyValueBuffer;

/**
 * The rule STREAM-TIME for a join with a versioned table and grace: what waits is joined when the time
 * of the topics that feed it has passed, and not only when another record comes to wait.
 */
class AdaptedGraceJoin<K, V, K2, V2> extends Adapted.AdaptedProcessor<K, V, K2, V2> {
  private final Method emit;
  private TimeOrderedKeyValueBuffer<K, V, V> buffer;
  /** What has the time by which the buffer tells what is due. */
  private Object store;

  AdaptedGraceJoin(Processor<K, V, K2, V2> inner, String name) {
    super(inner, null, name);
    this.emit = Adapted.methodOf(inner.getClass(), "emit");
  }

  @Override
  @SuppressWarnings("unchecked")
  public void init(ProcessorContext<K2, V2> given) {
    context = (InternalProcessorContext<K2, V2>) given;
    node = context.currentNode();
    Adapted.add(this);
    inner.init(given);
    try {
      buffer = (TimeOrderedKeyValueBuffer<K, V, V>)
          Adapted.fieldOf(inner.getClass(), "buffer").get(inner);
      store = Adapted.fieldOf(buffer.getClass(), "store").get(buffer);
    } catch (IllegalAccessException failure) {
      throw new AssertionError(failure);
    }
  }

  @Override
  void advance() {
    if (!Adapted.rules.contains("STREAM-TIME")) return;
    enter();
    try {
      var time = Adapted.fieldOf(store.getClass(), "observedStreamTime");
      if (time.getLong(store) >= nowMs()) return;
      time.setLong(store, nowMs());
    } catch (IllegalAccessException failure) {
      throw new AssertionError(failure);
    }
    buffer.evictWhile(() -> true, this::pass);
  }

  private void pass(TimeOrderedKeyValueBuffer.Eviction<K, V> due) {
    try {
      emit.invoke(inner, due);
    } catch (ReflectiveOperationException failure) {
      throw new AssertionError(failure);
    }
  }
}
