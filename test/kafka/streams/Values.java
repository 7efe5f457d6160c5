import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.kstream.Window;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.internals.SessionWindow;
import org.apache.kafka.streams.kstream.internals.UnlimitedWindow;

/**
 * One serde for every key and value of the tests, so that any operator can follow any other:
 * strings without quotes, longs, and either of them in a window. The bytes are those of JSON, as
 * JavaScript writes it.
 */
public class Values implements Serde<Object>, Serializer<Object>, Deserializer<Object> {
  static final ObjectMapper JSON = new ObjectMapper();

  @Override
  public Serializer<Object> serializer() {
    return this;
  }

  @Override
  public Deserializer<Object> deserializer() {
    return this;
  }

  @Override
  public void configure(Map<String, ?> configs, boolean isKey) {}

  @Override
  public void close() {}

  @Override
  public byte[] serialize(String topic, Object value) {
    return value == null ? null : json(value).getBytes(StandardCharsets.UTF_8);
  }

  @Override
  public Object deserialize(String topic, byte[] bytes) {
    return bytes == null ? null : parse(new String(bytes, StandardCharsets.UTF_8));
  }

  static String json(Object value) {
    if (value == null) return "null";
    if (value instanceof Long) return value.toString();
    if (value instanceof String) return "\"" + value + "\"";
    if (!(value instanceof Windowed<?> windowed)) {
      throw new IllegalArgumentException("no value of the tests: " + value.getClass());
    }
    return "{\"key\":" + json(windowed.key()) + ",\"windowStartMs\":" + windowed.window().start()
        + ",\"windowEndMs\":" + end(windowed.window()) + "}";
  }

  static Object parse(String json) {
    if (json.charAt(0) == '"') return json.substring(1, json.length() - 1);
    if (json.charAt(0) != '{') return Long.valueOf(json);
    try {
      return of(JSON.readTree(json));
    } catch (com.fasterxml.jackson.core.JsonProcessingException failure) {
      throw new IllegalArgumentException(json, failure);
    }
  }

  static Object of(JsonNode json) {
    if (json.isNull()) return null;
    if (json.isTextual()) return json.asText();
    if (!json.isObject()) return json.asLong();
    var end = json.get("windowEndMs");
    // Of the windows that Kafka has, only this one may be empty.
    var window = new SessionWindow(json.get("windowStartMs").asLong(),
        end.isNull() ? Long.MAX_VALUE : end.asLong());
    return new Windowed<>(of(json.get("key")), window);
  }

  /** The form in which functions see a key or value. */
  static String text(Object value) {
    if (!(value instanceof Windowed<?> windowed)) return String.valueOf(value);
    return text(windowed.key()) + "@" + windowed.window().start() + ".." + end(windowed.window());
  }

  /** A window without an end has Infinity there, which JSON writes as null. */
  private static String end(Window window) {
    boolean isEndless = window instanceof UnlimitedWindow || window.end() == Long.MAX_VALUE;
    return isEndless ? "null" : String.valueOf(window.end());
  }
}
