import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.kstream.Initializer;
import org.apache.kafka.streams.kstream.Windowed;

/** The functions of the topologies by name; functions.ts has the same. */
class Functions {
  /** Makes the first value of an aggregate. */
  static final Initializer<Object> NOTHING = () -> "";

  /** Keys whose bytes sort otherwise than they do. */
  static final List<Object> WILD = List.of("a", "a!", "ö", "～", "😀", 9L, 10L, 100L);

  static int hash(Object value) {
    String text = Values.text(value);
    int sum = 7;
    for (int at = 0; at < text.length(); at++) sum = (sum * 31 + text.charAt(at)) % 10_007;
    return sum;
  }

  /** Keeps the texts that grow from step to step short. */
  static String cut(String text) {
    return text.length() <= 40 ? text : text.substring(0, 24) + "#" + hash(text);
  }

  static boolean predicate(String name, Object key, Object value) {
    return switch (name) {
      case "even" -> hash(value) % 2 == 0;
      case "third" -> hash(value) % 3 == 0;
      case "valued" -> value != null;
      case "early-key" -> hash(key) % 3 != 0;
      case "all" -> true;
      default -> throw new IllegalArgumentException("no predicate " + name);
    };
  }

  static Object value(String name, Object key, Object value) {
    return switch (name) {
      case "tag" -> cut(Values.text(value) + "'");
      case "digit" -> (long) (hash(value) % 10);
      case "nullable" -> hash(value) % 4 == 0 ? null : value;
      case "with-key" -> cut(Values.text(key) + ":" + Values.text(value));
      default -> throw new IllegalArgumentException("no mapper of values " + name);
    };
  }

  static Object key(String name, Object key, Object value) {
    return switch (name) {
      case "by-value" -> "k" + hash(value) % 3;
      case "nullable" -> hash(value) % 4 == 0 ? null : "n" + hash(value) % 2;
      case "same" -> key;
      case "plain" -> key instanceof Windowed<?> windowed ? windowed.key() : key;
      case "letter" -> "abcde".substring(hash(value) % 5, hash(value) % 5 + 1);
      case "wild" -> WILD.get(hash(value) % WILD.size());
      case "by-key" -> key == null ? null : "g" + hash(key) % 2;
      default -> throw new IllegalArgumentException("no selector of keys " + name);
    };
  }

  static KeyValue<Object, Object> pair(String name, Object key, Object value) {
    return switch (name) {
      case "swap" -> KeyValue.pair("s" + hash(value) % 4, Values.text(key));
      case "null-keys" -> KeyValue.pair(hash(value) % 5 == 0 ? null : key, value);
      case "null-values" -> KeyValue.pair(key, hash(value) % 3 == 0 ? null : value);
      default -> throw new IllegalArgumentException("no mapper " + name);
    };
  }

  /** None, one or two. */
  static List<Object> values(String name, Object key, Object value) {
    var made = new ArrayList<Object>();
    for (int count = hash(value) % 3; count > 0; count--) {
      made.add(value(name, key, value));
      if (count == 2) made.add(value);
    }
    return made;
  }

  static List<KeyValue<Object, Object>> pairs(String name, Object key, Object value) {
    var made = new ArrayList<KeyValue<Object, Object>>();
    for (Object each : values("tag", key, value)) made.add(pair(name, key, each));
    return made;
  }

  static Object reduce(String name, Object left, Object right) {
    return switch (name) {
      case "append" -> cut(Values.text(left) + Values.text(right));
      case "greatest" -> Values.text(left).compareTo(Values.text(right)) >= 0 ? left : right;
      case "nullable" -> hash(right) % 3 == 0 ? null : right;
      case "remove" -> cut(Values.text(left) + "-" + Values.text(right));
      case "remove-nullable" -> hash(right) % 3 == 0 ? null : left;
      default -> throw new IllegalArgumentException("no reducer " + name);
    };
  }

  static Object add(String name, Object key, Object value, Object aggregate) {
    return switch (name) {
      case "append" -> cut(Values.text(aggregate) + Values.text(key) + "+" + Values.text(value));
      case "nullable" -> hash(value) % 3 == 0 ? null : cut(Values.text(aggregate) + "n");
      case "remove" -> cut(Values.text(aggregate) + "-" + Values.text(value));
      case "remove-nullable" -> hash(value) % 3 == 0 ? null : aggregate;
      case "greatest" -> Values.text(value).compareTo(Values.text(aggregate)) >= 0
          ? Values.text(value) : aggregate;
      default -> throw new IllegalArgumentException("no adder " + name);
    };
  }

  static Object join(Object left, Object right) {
    return cut("(" + Values.text(left) + "|" + Values.text(right) + ")");
  }

  static Object foreignKey(Object key, Object value) {
    int letter = (hash(key) + hash(value)) % 5;
    return "abcde".substring(letter, letter + 1);
  }

  static Object foreignKey(String name, Object value) {
    return switch (name) {
      case "by-value" -> "abcde".substring(hash(value) % 5, hash(value) % 5 + 1);
      case "nullable" -> hash(value) % 4 == 0 ? null : "abc".substring(hash(value) % 3, hash(value) % 3 + 1);
      default -> throw new IllegalArgumentException("no foreign key " + name);
    };
  }

  static Object merge(Object left, Object right) {
    return cut(Values.text(left) + "&" + Values.text(right));
  }
}
