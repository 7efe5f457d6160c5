import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.ValueJoiner;
import org.apache.kafka.streams.processor.api.ContextualFixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.internals.InternalProcessorContext;
import org.apache.kafka.streams.state.ValueTimestampHeaders;
import org.apache.kafka.streams.state.WindowStoreIterator;

/**
 * The rule UNMATCHED-IN-JOINS: one side of a left or outer join of streams, which passes on a record
 * without a partner when stream time is past its window and the grace, before the record that moved
 * time, with its own headers, and never joins it later. It uses what is private in Kafka's.
 */
class AdaptedJoin<K, V, K2, V2> extends Adapted.AdaptedProcessor<K, V, K2, V2> {
  /** As the time of the oldest record that waits: Kafka then looks for what is due, or does not. */
  private static final long ALWAYS_DUE_MS = Long.MIN_VALUE / 2;
  private static final long NEVER_DUE_MS = Long.MAX_VALUE / 2;

  private final Unmatched unmatched;
  private final boolean isLeft;
  private final Method passUnmatched;
  private final long graceMs;
  /** The time that both sides share. */
  private Object tracker;
  private Field streamTime;
  private Field minTime;
  /** The last time for which this has passed on what was due. */
  private long movedMs = -1;

  AdaptedJoin(Processor<K, V, K2, V2> inner, Unmatched unmatched, boolean isLeft) {
    super(inner, null, unmatched.name);
    this.unmatched = unmatched;
    this.isLeft = isLeft;
    this.passUnmatched = Adapted.methodOf(inner.getClass(), "emitNonJoinedOuterRecords");
    try {
      Object operator = Adapted.fieldOf(inner.getClass(), "this$0").get(inner);
      this.graceMs = Adapted.fieldOf(operator.getClass(), "joinGraceMs").getLong(operator);
    } catch (IllegalAccessException failure) {
      throw new AssertionError(failure);
    }
  }

  static boolean isFor(Processor<?, ?, ?, ?> processor) {
    return Adapted.methodOf(processor.getClass(), "emitNonJoinedOuterRecords") != null;
  }

  @Override
  public void init(ProcessorContext<K2, V2> given) {
    context = (InternalProcessorContext<K2, V2>) given;
    node = context.currentNode();
    Adapted.add(this);
    inner.init(given);
    try {
      tracker = Adapted.fieldOf(inner.getClass(), "sharedTimeTracker").get(inner);
      streamTime = Adapted.fieldOf(tracker.getClass(), "streamTime");
      minTime = Adapted.fieldOf(tracker.getClass(), "minTime");
      Field store = Adapted.fieldOf(inner.getClass(), "otherWindowStore");
      store.set(inner, withoutPassed(store.getType(), store.get(inner)));
    } catch (IllegalAccessException failure) {
      throw new AssertionError(failure);
    }
  }

  /**
   * Kafka passes on at once what `streamTime` is past; here the grace is to pass, too. What has
   * waited is passed on by `passDue` alone.
   */
  @Override
  public void process(Record<K, V> record) {
    try {
      boolean isNow = !isPatient && !unmatched.isRepartitioned;
      streamTime.setLong(tracker, (isNow ? nowMs() : movedMs) - graceMs);
      minTime.setLong(tracker, NEVER_DUE_MS);
    } catch (IllegalAccessException failure) {
      throw new AssertionError(failure);
    }
    inner.process(record);
  }

  @Override
  void advance() {
    if (!unmatched.isRepartitioned) passDue();
  }

  /** Behind repartition topics time comes after the record that moves it. */
  @Override
  void advanceBehind() {
    passDue();
  }

  private void passDue() {
    if (movedMs >= nowMs()) return;
    movedMs = nowMs();
    enter();
    try {
      streamTime.setLong(tracker, movedMs);
      minTime.setLong(tracker, ALWAYS_DUE_MS);
      var waiting = (Optional<?>) Adapted.fieldOf(inner.getClass(), "outerJoinStore").get(inner);
      passUnmatched.invoke(inner, waiting.get(), new Record<K, V>(null, null, 0));
    } catch (InvocationTargetException failure) {
      throw new AssertionError(failure.getCause());
    } catch (IllegalAccessException failure) {
      throw new AssertionError(failure);
    }
  }

  /** The store of the other side, but that records that were passed on alone are not found. */
  private Object withoutPassed(Class<?> type, Object store) {
    return Proxy.newProxyInstance(AdaptedJoin.class.getClassLoader(), new Class<?>[] {type},
        (proxy, method, arguments) -> {
          Object result = method.invoke(store, arguments);
          if (!method.getName().equals("fetch")) return result;
          var found = new ArrayList<KeyValue<Long, ValueTimestampHeaders<Object>>>();
          try (@SuppressWarnings("unchecked")
              var all = (WindowStoreIterator<ValueTimestampHeaders<Object>>) result) {
            while (all.hasNext()) {
              var next = all.next();
              if (!unmatched.isPassed(next.value.value(), !isLeft)) found.add(next);
            }
          }
          return new Found<>(found.iterator());
        });
  }

  private record Found<T>(Iterator<KeyValue<Long, T>> records) implements WindowStoreIterator<T> {
    @Override
    public boolean hasNext() {
      return records.hasNext();
    }

    @Override
    public KeyValue<Long, T> next() {
      return records.next();
    }

    @Override
    public Long peekNextKey() {
      throw new UnsupportedOperationException("peekNextKey");
    }

    @Override
    public void close() {}
  }

  /** A join's records without a partner. Its values carry a number and headers, as text. */
  static class Unmatched {
    private static final String SEPARATOR = "\u0001";
    /** By the beginning of the names of its operators. */
    private static final Map<String, Unmatched> JOINS = new HashMap<>();

    final String name;
    final boolean isRepartitioned;
    private final Set<String> passedLefts = new HashSet<>();
    private final Set<String> passedRights = new HashSet<>();
    private int count;

    Unmatched(String name, Set<String> origins, boolean isPatient, boolean isRepartitioned) {
      this.name = name;
      this.isRepartitioned = isRepartitioned;
      JOINS.put(name, this);
      Adapted.ORIGINS.put(name, origins);
      if (isPatient) Adapted.PATIENT.add(name);
    }

    static void reset() {
      JOINS.clear();
    }

    /** That of an operator's name, or null. */
    static Unmatched of(String operator) {
      for (var each : JOINS.values()) if (operator.startsWith(each.name + "-")) return each;
      return null;
    }

    KStream<Object, Object> tagged(KStream<Object, Object> stream) {
      return stream.processValues(() -> new ContextualFixedKeyProcessor<Object, Object, Object>() {
        @Override
        public void process(FixedKeyRecord<Object, Object> record) {
          Object value = record.value() == null ? null : tag(record.value(), record.headers());
          context().forward(record.withValue(value));
        }
      });
    }

    private String tag(Object value, Headers headers) {
      List<String> texts = new ArrayList<>();
      for (var header : headers) {
        texts.add(header.key());
        texts.add(new String(header.value()));
      }
      String headerTexts = String.join(",", texts);
      return count++ + SEPARATOR + headerTexts + SEPARATOR + Values.json(value);
    }

    private static String[] partsOf(Object tagged) {
      return ((String) tagged).split(SEPARATOR, 3);
    }

    boolean isPassed(Object tagged, boolean isLeft) {
      return (isLeft ? passedLefts : passedRights).contains(partsOf(tagged)[0]);
    }

    /** A pair's value, or that of a record alone with its headers before it. */
    ValueJoiner<Object, Object, Object> joiner() {
      return (left, right) -> {
        if (left == null) return alone(right, passedRights, null, valueOf(right));
        if (right == null) return alone(left, passedLefts, valueOf(left), null);
        return SEPARATOR + Functions.join(valueOf(left), valueOf(right));
      };
    }

    private static Object valueOf(Object tagged) {
      return Values.parse(partsOf(tagged)[2]);
    }

    private Object alone(Object tagged, Set<String> passed, Object left, Object right) {
      passed.add(partsOf(tagged)[0]);
      return partsOf(tagged)[1] + SEPARATOR + Functions.join(left, right) + SEPARATOR;
    }

    KStream<Object, Object> untagged(KStream<Object, Object> joined) {
      return joined.processValues(() -> new ContextualFixedKeyProcessor<Object, Object, Object>() {
        @Override
        public void process(FixedKeyRecord<Object, Object> record) {
          String[] parts = partsOf(record.value());
          boolean isPair = parts.length == 2;
          var result = record.withValue((Object) parts[1]);
          context().forward(isPair ? result : result.withHeaders(headersOf(parts[0])));
        }
      });
    }

    private static Headers headersOf(String texts) {
      var headers = new RecordHeaders();
      if (texts.isEmpty()) return headers;
      String[] each = texts.split(",", -1);
      for (int at = 0; at < each.length; at += 2) headers.add(each[at], each[at + 1].getBytes());
      return headers;
    }
  }
}
