import java.lang.reflect.Field;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.streams.kstream.internals.Change;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorSupplier;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.ProcessorWrapper;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.WrappedFixedKeyProcessorSupplier;
import org.apache.kafka.streams.processor.api.WrappedProcessorSupplier;
import org.apache.kafka.streams.processor.internals.InternalProcessorContext;
import org.apache.kafka.streams.processor.internals.ProcessorNode;
import org.apache.kafka.streams.processor.internals.ProcessorRecordContext;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.internals.WrappedStateStore;

/**
 * Rules that change Kafka's operators. It uses what is private in them, for nothing else can.
 *
 * STREAM-TIME gives them the time of the topics that feed them. By themselves they know only the
 * times of records that reach them, so that a filter before a window delays the window's end.
 *
 * OLD-VALUES lets each change of an aggregate have what was passed on before as its old value. By
 * themselves the first change of a key has what the initializer returned, a new sliding window what
 * it began with, and a session of one moment nothing.
 */
public class Adapted implements ProcessorWrapper {
  static Set<String> rules = Set.of();
  /** The topics that feed the operator with a store, in the order in which operators are built. */
  static final Map<String, Set<String>> ORIGINS = new LinkedHashMap<>();
  /** The stores of operators behind final results, for which time has to wait. */
  static final Set<String> PATIENT = new HashSet<>();
  /** The stores of suppressions of sessions. */
  static final Set<String> SESSIONS = new HashSet<>();
  /** The largest time of each topic. */
  static final Map<String, Long> TIMES = new HashMap<>();
  /** The operators that know time; those that feed others come before them. */
  static final List<AdaptedProcessor<?, ?, ?, ?>> OPERATORS = new ArrayList<>();

  /** By the store, which streams of a cogroup share: what was passed on last, by key. */
  static final Map<String, Map<String, Object>> PASSED_ON = new HashMap<>();

  static boolean isNeededBy(Set<String> rules) {
    return rules.contains("STREAM-TIME") || rules.contains("OLD-VALUES")
        || rules.contains("UNMATCHED-IN-JOINS") || rules.contains("FINAL-SESSIONS");
  }

  static void reset(Set<String> given) {
    rules = given;
    ORIGINS.clear();
    PATIENT.clear();
    SESSIONS.clear();
    TIMES.clear();
    OPERATORS.clear();
    PASSED_ON.clear();
    AdaptedJoin.Unmatched.reset();
    AdaptedTableJoin.reset();
  }

  static void add(AdaptedProcessor<?, ?, ?, ?> operator) {
    OPERATORS.add(operator);
    OPERATORS.sort(Comparator.comparingInt(each -> each.rank));
  }

  /** Moves time before a record is processed; `settle` processes what comes of it. */
  static void observe(String topic, long timestampMs, Runnable settle) {
    TIMES.merge(topic, timestampMs, Math::max);
    for (var operator : OPERATORS) {
      operator.advance();
      settle.run();
    }
  }

  /** Moves time after a record was processed, for what is behind repartition topics. */
  static void observed(Runnable settle) {
    for (var operator : OPERATORS) {
      operator.advanceBehind();
      settle.run();
    }
  }

  @Override
  public <K, V, K2, V2> WrappedProcessorSupplier<K, V, K2, V2> wrapProcessorSupplier(
      String name, ProcessorSupplier<K, V, K2, V2> supplier) {
    return new WrappedProcessorSupplier<>() {
      @Override
      public Processor<K, V, K2, V2> get() {
        var processor = supplier.get();
        var tableJoin = AdaptedTableJoin.of(name, processor);
        if (tableJoin != null) return tableJoin;
        if (ORIGINS.containsKey(name)) return new AdaptedGraceJoin<>(processor, name);
        Field time = fieldOf(processor.getClass(), "observedStreamTime");
        if (stores() == null) return processor;
        var unmatched = AdaptedJoin.Unmatched.of(name);
        if (unmatched != null && AdaptedJoin.isFor(processor)) {
          return new AdaptedJoin<>(processor, unmatched, name.endsWith("-this-join"));
        }
        for (var store : stores()) {
          if (ORIGINS.containsKey(store.name())) return new AdaptedProcessor<>(processor, time, store.name());
        }
        return processor;
      }

      @Override
      public Set<StoreBuilder<?>> stores() {
        return supplier.stores();
      }
    };
  }

  @Override
  public <K, V, V2> WrappedFixedKeyProcessorSupplier<K, V, V2> wrapFixedKeyProcessorSupplier(
      String name, FixedKeyProcessorSupplier<K, V, V2> supplier) {
    return ProcessorWrapper.asWrappedFixedKey(supplier);
  }

  static Field fieldOf(Class<?> type, String name) {
    for (Class<?> each = type; each != null; each = each.getSuperclass()) {
      for (Field field : each.getDeclaredFields()) {
        if (!field.getName().equals(name)) continue;
        field.setAccessible(true);
        return field;
      }
    }
    return null;
  }

  static Method methodOf(Class<?> type, String name) {
    for (Class<?> each = type; each != null; each = each.getSuperclass()) {
      for (Method method : each.getDeclaredMethods()) {
        if (!method.getName().equals(name)) continue;
        method.setAccessible(true);
        return method;
      }
    }
    return null;
  }

  /** The context, but that changes forwarded through it have the right old values. */
  @SuppressWarnings("unchecked")
  static <K, V> InternalProcessorContext<K, V> withOldValues(
      InternalProcessorContext<K, V> context, String store) {
    Map<String, Object> passedOn = PASSED_ON.computeIfAbsent(store, each -> new HashMap<>());
    InvocationHandler handler = (proxy, method, arguments) -> {
      if (method.getName().equals("forward") && arguments[0] instanceof Record<?, ?> record) {
        var change = (Change<?>) record.value();
        Object old = passedOn.put(Values.json(record.key()), change.newValue);
        var value = new Change<Object>(change.newValue, old);
        arguments = arguments.clone();
        arguments[0] = ((Record<Object, Object>) record).withValue(value);
      }
      return method.invoke(context, arguments);
    };
    return (InternalProcessorContext<K, V>) Proxy.newProxyInstance(
        Adapted.class.getClassLoader(), new Class<?>[] {InternalProcessorContext.class}, handler);
  }

  /** An operator whose time is moved from outside, or whose results are changed. */
  static class AdaptedProcessor<K, V, K2, V2> implements Processor<K, V, K2, V2> {
    final Processor<K, V, K2, V2> inner;
    /** Null for an operator without windows. */
    final Field time;
    final Set<String> origins;
    final boolean isPatient;
    /** Kafka starts operators in an order of its own, in which those behind may come first. */
    final int rank;
    /** Passes on the windows that have closed. */
    final Method close;
    /** Of a suppression: passes on what is due. */
    final Method suppressed;
    /** True of one with a time limit: what a record makes due waits for the record itself. */
    final boolean isHeld;
    final String storeName;
    InternalProcessorContext<K2, V2> context;
    ProcessorNode<?, ?, ?, ?> node;
    /** A store of sessions, which has a time of its own: it still finds a closed one until then. */
    Object sessions;
    Field sessionsTime;

    AdaptedProcessor(Processor<K, V, K2, V2> inner, Field time, String store) {
      this.inner = inner;
      this.time = time;
      this.storeName = store;
      this.origins = ORIGINS.get(store);
      this.isPatient = PATIENT.contains(store);
      this.rank = List.copyOf(ORIGINS.keySet()).indexOf(store);
      this.close = methodOf(inner.getClass(), "maybeForwardFinalResult");
      this.suppressed = methodOf(inner.getClass(), "enforceConstraints");
      this.isHeld = suppressed != null && !isFinal();
      if (SESSIONS.contains(store) && rules.contains("FINAL-SESSIONS")) waitLonger();
    }

    @Override
    public void init(ProcessorContext<K2, V2> given) {
      context = (InternalProcessorContext<K2, V2>) given;
      node = context.currentNode();
      add(this);
      boolean keepsOld = rules.contains("OLD-VALUES");
      inner.init(keepsOld ? withOldValues(context, storeName) : given);
      StateStore store = context.getStateStore(storeName);
      if (!(store instanceof SessionStore)) return;
      while (store instanceof WrappedStateStore<?, ?, ?> wrapper) store = wrapper.wrapped();
      sessions = store;
      sessionsTime = fieldOf(store.getClass(), "observedStreamTime");
    }

    @Override
    public void process(Record<K, V> record) {
      if (!isPatient) move();
      inner.process(record);
    }

    @Override
    public void close() {
      inner.close();
    }

    void advance() {
      if (!isBehind()) return;
      enter();
      try {
        if (isHeld) suppressed.invoke(inner);
        move();
        if (suppressed != null && !isHeld) suppressed.invoke(inner);
        if (close == null) return;
        close.invoke(inner, new Record<K, V>(null, null, 0), time.getLong(inner) - graceMs());
      } catch (ReflectiveOperationException failure) {
        throw new AssertionError(failure);
      }
    }

    void advanceBehind() {}

    /** Lets what is passed on now come from this operator, and from no record. */
    void enter() {
      context.setCurrentNode(node);
      context.setRecordContext(new ProcessorRecordContext(0, -1, 0, "", new RecordHeaders()));
    }

    private void move() {
      if (!isBehind()) return;
      try {
        time.setLong(inner, nowMs());
        if (sessions != null) sessionsTime.setLong(sessions, nowMs());
      } catch (IllegalAccessException failure) {
        throw new AssertionError(failure);
      }
    }

    private boolean isBehind() {
      if (time == null || !rules.contains("STREAM-TIME")) return false;
      try {
        return time.getLong(inner) < nowMs();
      } catch (IllegalAccessException failure) {
        throw new AssertionError(failure);
      }
    }

    long nowMs() {
      return origins.stream().mapToLong(each -> TIMES.getOrDefault(each, -1L)).max().orElse(-1);
    }

    /** The rule FINAL-SESSIONS: a session is passed on when no record can change it any more. */
    private void waitLonger() {
      try {
        Field duration = fieldOf(inner.getClass(), "suppressDurationMillis");
        duration.setLong(inner, duration.getLong(inner) + 1);
      } catch (IllegalAccessException failure) {
        throw new AssertionError(failure);
      }
    }

    /** True of a suppression of windows. */
    private boolean isFinal() {
      try {
        return fieldOf(inner.getClass(), "safeToDropTombstones").getBoolean(inner);
      } catch (IllegalAccessException failure) {
        throw new AssertionError(failure);
      }
    }

    /** How long after its end a window closes, as the operator computes it. */
    private long graceMs() throws ReflectiveOperationException {
      Object operator = fieldOf(inner.getClass(), "this$0").get(inner);
      Object windows = fieldOf(operator.getClass(), "windows").get(operator);
      long graceMs = (long) methodOf(windows.getClass(), "gracePeriodMs").invoke(windows);
      Method gap = methodOf(windows.getClass(), "inactivityGap");
      return gap == null ? graceMs : graceMs + (long) gap.invoke(windows);
    }
  }
}
