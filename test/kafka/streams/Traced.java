import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.streams.kstream.Branched;
import org.apache.kafka.streams.kstream.BranchedKStream;
import org.apache.kafka.streams.kstream.CogroupedKStream;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KGroupedTable;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Named;
import org.apache.kafka.streams.kstream.Printed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.SessionWindowedCogroupedKStream;
import org.apache.kafka.streams.kstream.SessionWindowedKStream;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TableJoined;
import org.apache.kafka.streams.kstream.TimeWindowedCogroupedKStream;
import org.apache.kafka.streams.kstream.TimeWindowedKStream;

/** Stands before a stream or table of Kafka's, and notes which of its operations are called. */
class Traced implements InvocationHandler {
  private static final List<Class<?>> TYPES = List.of(KStream.class, BranchedKStream.class,
      KTable.class, GlobalKTable.class, KGroupedStream.class, KGroupedTable.class,
      TimeWindowedKStream.class, SessionWindowedKStream.class, CogroupedKStream.class,
      TimeWindowedCogroupedKStream.class, SessionWindowedCogroupedKStream.class);
  /** Names, serdes and stores: with them an operation is the same one. */
  private static final Set<Class<?>> OPTIONS = Set.of(Named.class, Materialized.class,
      Grouped.class, Joined.class, StreamJoined.class, TableJoined.class, Produced.class,
      Repartitioned.class, Printed.class, Branched.class, String[].class);
  private static final Set<String> CALLED = new TreeSet<>();

  private final Object real;

  private Traced(Object real) {
    this.real = real;
  }

  static <T> T of(Class<T> type, T real) {
    return type.cast(Proxy.newProxyInstance(
        Traced.class.getClassLoader(), new Class<?>[] {type}, new Traced(real)));
  }

  /** Kafka's own object. */
  static Object real(Object traced) {
    boolean isTraced = traced != null && Proxy.isProxyClass(traced.getClass())
        && Proxy.getInvocationHandler(traced) instanceof Traced;
    return isTraced ? ((Traced) Proxy.getInvocationHandler(traced)).real : traced;
  }

  @Override
  public Object invoke(Object proxy, Method method, Object[] arguments) throws Throwable {
    Object[] given = arguments == null ? new Object[0] : arguments.clone();
    for (int at = 0; at < given.length; at++) given[at] = real(given[at]);
    Object result;
    try {
      result = method.invoke(real, given);
    } catch (InvocationTargetException failure) {
      throw failure.getCause();
    }
    if (method.getDeclaringClass() == Object.class) return result;
    CALLED.add(nameOf(method));
    return TYPES.contains(method.getReturnType()) ? wrapped(method.getReturnType(), result) : result;
  }

  private static <T> T wrapped(Class<T> type, Object result) {
    return of(type, type.cast(result));
  }

  static Set<String> called() {
    return CALLED;
  }

  /** All operations, without those that Kafka wants nobody to use any more. */
  static Set<String> all() {
    Set<String> all = new TreeSet<>();
    for (Class<?> type : TYPES) {
      for (Method method : type.getMethods()) {
        boolean isStatic = Modifier.isStatic(method.getModifiers());
        if (!isStatic && !method.isAnnotationPresent(Deprecated.class)) all.add(nameOf(method));
      }
    }
    return all;
  }

  /** The interface, the operation, and what it takes but options: `KTable.filter(Predicate)`. */
  private static String nameOf(Method method) {
    List<String> types = new ArrayList<>();
    for (Class<?> type : method.getParameterTypes()) {
      if (!OPTIONS.contains(type)) types.add(type.getSimpleName().replace("WithKey", ""));
    }
    return method.getDeclaringClass().getSimpleName() + "." + method.getName()
        + "(" + String.join(", ", types) + ")";
  }
}
