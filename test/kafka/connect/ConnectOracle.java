import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TimeZone;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.SimpleHeaderConverter;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.core.config.Configurator;

/**
 * What Kafka Connect's converters, transforms and predicates do: one question per line of JSON on
 * stdin, one answer per line on stdout. oracle.ts defines both.
 */
public class ConnectOracle {
  static final ObjectMapper JSON = new ObjectMapper();
  static final JsonNodeFactory NODES = JsonNodeFactory.instance;

  public static void main(String[] args) throws Exception {
    Configurator.setLevel("org.apache.kafka", Level.OFF); // it warns of headers that are no text
    TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
    var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      JsonNode answer;
      try {
        answer = answer(JSON.readTree(line));
      } catch (Throwable failure) {
        failure.printStackTrace();
        answer = NODES.objectNode().put("error", failure.toString());
      }
      out.println(JSON.writeValueAsString(answer));
    }
  }

  static JsonNode answer(JsonNode question) throws Exception {
    var answers = NODES.arrayNode();
    Asked asked = switch (question.get("ask").asText()) {
      case "write" -> writer(question);
      case "read" -> reader(question);
      case "writeHeader" -> value -> bytes(new SimpleHeaderConverter()
          .fromConnectHeader("t", "h", null, plainValue(value)));
      case "readHeader" -> value -> {
        var read = new SimpleHeaderConverter().toConnectHeader("t", "h", value.binaryValue());
        return plain(read == null ? null : read.value());
      };
      case "transform" -> transformer(question);
      case "predicate" -> predicate(question);
      default -> throw new IllegalArgumentException(question.get("ask").asText());
    };
    for (JsonNode each : question.get("values")) {
      try {
        answers.add(asked.answer(each));
      } catch (Exception failure) {
        answers.add(NODES.objectNode().put("failed", failure.toString()));
      }
    }
    return NODES.objectNode().set("answers", answers);
  }

  interface Asked {
    JsonNode answer(JsonNode value) throws Exception;
  }

  static <T> T make(JsonNode question, Class<T> type) throws Exception {
    return type.cast(Class.forName(question.get("class").asText()).getDeclaredConstructor()
        .newInstance());
  }

  static Map<String, Object> configOf(JsonNode question) {
    var config = new HashMap<String, Object>();
    question.get("config").fields().forEachRemaining(entry ->
        config.put(entry.getKey(), entry.getValue().asText()));
    return config;
  }

  static Converter converter(JsonNode question) throws Exception {
    var converter = make(question, Converter.class);
    converter.configure(configOf(question), false);
    return converter;
  }

  static Schema schemaOf(JsonNode schema) {
    var parser = new JsonConverter();
    parser.configure(Map.of("converter.type", "value"));
    return schema == null || schema.isNull() ? null : parser.asConnectSchema(schema);
  }

  static Asked writer(JsonNode question) throws Exception {
    var converter = converter(question);
    var schema = schemaOf(question.get("schema"));
    return value -> bytes(converter.fromConnectData("t", schema,
        schema == null ? plainValue(value) : typedValue(schema, value)));
  }

  static Asked reader(JsonNode question) throws Exception {
    var converter = converter(question);
    return value -> {
      SchemaAndValue read = converter.toConnectData("t", value.binaryValue());
      return read.schema() == null ? plain(read.value()) : typed(read.schema(), read.value());
    };
  }

  static JsonNode bytes(byte[] bytes) {
    return bytes == null ? NODES.nullNode() : NODES.binaryNode(bytes);
  }

  /** A value of a schema, in a form that keeps numbers as text. */
  static Object typedValue(Schema schema, JsonNode json) throws Exception {
    if (json == null || json.isNull()) return null;
    if (Decimal.LOGICAL_NAME.equals(schema.name())) return new BigDecimal(json.asText());
    if (isTime(schema)) return new Date(Long.parseLong(json.asText()));
    switch (schema.type()) {
      case BOOLEAN: return json.booleanValue();
      case INT8: return Byte.valueOf(json.asText());
      case INT16: return Short.valueOf(json.asText());
      case INT32: return Integer.valueOf(json.asText());
      case INT64: return Long.valueOf(json.asText());
      case FLOAT32: return Float.valueOf(json.asText());
      case FLOAT64: return Double.valueOf(json.asText());
      case STRING: return json.asText();
      case BYTES: return Base64.getDecoder().decode(json.asText());
      case ARRAY: {
        var list = new ArrayList<Object>();
        for (JsonNode each : json) list.add(typedValue(schema.valueSchema(), each));
        return list;
      }
      case MAP: {
        var map = new LinkedHashMap<Object, Object>();
        for (JsonNode each : json) {
          map.put(typedValue(schema.keySchema(), each.get(0)),
              typedValue(schema.valueSchema(), each.get(1)));
        }
        return map;
      }
      case STRUCT: {
        var struct = new Struct(schema);
        for (Field field : schema.fields()) {
          struct.put(field, typedValue(field.schema(), json.get(field.name())));
        }
        return struct;
      }
      default: throw new IllegalArgumentException(schema.type().toString());
    }
  }

  static boolean isTime(Schema schema) {
    return schema.name() != null && schema.name().matches(
        "org\\.apache\\.kafka\\.connect\\.data\\.(Date|Time|Timestamp)");
  }

  /** The inverse. */
  static JsonNode typed(Schema schema, Object value) {
    if (value == null) return NODES.nullNode();
    if (value instanceof BigDecimal decimal) return NODES.textNode(decimal.toPlainString());
    if (value instanceof Date date) return NODES.textNode(Long.toString(date.getTime()));
    switch (schema.type()) {
      case BOOLEAN: return NODES.booleanNode((Boolean) value);
      case BYTES: return NODES.textNode(Base64.getEncoder().encodeToString((byte[]) value));
      case ARRAY: {
        var list = NODES.arrayNode();
        for (Object each : (List<?>) value) list.add(typed(schema.valueSchema(), each));
        return list;
      }
      case MAP: {
        var list = NODES.arrayNode();
        for (Map.Entry<?, ?> each : ((Map<?, ?>) value).entrySet()) {
          list.add(NODES.arrayNode().add(typed(schema.keySchema(), each.getKey()))
              .add(typed(schema.valueSchema(), each.getValue())));
        }
        return list;
      }
      case STRUCT: {
        var object = NODES.objectNode();
        for (Field field : schema.fields()) {
          object.set(field.name(), typed(field.schema(), ((Struct) value).getWithoutDefault(field.name())));
        }
        return object;
      }
      default: return NODES.textNode(value.toString());
    }
  }

  /** A value without a schema: integers are Long, fractions Double; `$date`, `$bytes`. */
  static Object plainValue(JsonNode json) throws Exception {
    if (json.isNull()) return null;
    if (json.isTextual()) return json.textValue();
    if (json.isBoolean()) return json.booleanValue();
    if (json.isIntegralNumber()) return json.longValue();
    if (json.isNumber()) return json.doubleValue();
    if (json.isArray()) {
      var list = new ArrayList<Object>();
      for (JsonNode each : json) list.add(plainValue(each));
      return list;
    }
    if (json.has("$date")) return new Date(json.get("$date").longValue());
    if (json.has("$bytes")) return json.get("$bytes").binaryValue();
    var map = new LinkedHashMap<String, Object>();
    var fields = json.fields();
    while (fields.hasNext()) {
      var entry = fields.next();
      map.put(entry.getKey(), plainValue(entry.getValue()));
    }
    return map;
  }

  /** The inverse; numbers are `$number`, with the text that Java prints. */
  static JsonNode plain(Object value) {
    if (value == null) return NODES.nullNode();
    if (value instanceof Boolean each) return NODES.booleanNode(each);
    if (value instanceof String each) return NODES.textNode(each);
    if (value instanceof byte[] each) {
      return NODES.objectNode().put("$bytes", Base64.getEncoder().encodeToString(each));
    }
    if (value instanceof Date each) return NODES.objectNode().put("$date", each.getTime());
    if (value instanceof Number) return NODES.objectNode().put("$number", value.toString());
    if (value instanceof List<?> each) {
      var list = NODES.arrayNode();
      for (Object item : each) list.add(plain(item));
      return list;
    }
    if (value instanceof Map<?, ?> each) {
      var list = NODES.arrayNode();
      for (Map.Entry<?, ?> entry : each.entrySet()) {
        list.add(NODES.arrayNode().add(plain(entry.getKey())).add(plain(entry.getValue())));
      }
      return NODES.objectNode().set("$map", list);
    }
    throw new IllegalArgumentException(value.getClass().toString());
  }

  @SuppressWarnings("unchecked")
  static Asked transformer(JsonNode question) throws Exception {
    var transform = (Transformation<SinkRecord>) make(question, Transformation.class);
    transform.configure(configOf(question));
    return value -> {
      SinkRecord after = transform.apply(record(value));
      return after == null ? NODES.nullNode() : shown(after);
    };
  }

  @SuppressWarnings("unchecked")
  static Asked predicate(JsonNode question) throws Exception {
    var predicate = (Predicate<SinkRecord>) make(question, Predicate.class);
    predicate.configure(configOf(question));
    return value -> NODES.booleanNode(predicate.test(record(value)));
  }

  static SinkRecord record(JsonNode json) throws Exception {
    var converter = new SimpleHeaderConverter();
    var headers = new ConnectHeaders();
    for (JsonNode each : json.get("headers")) {
      byte[] bytes = each.get(1).isNull() ? null
          : each.get(1).textValue().getBytes(StandardCharsets.UTF_8);
      headers.add(each.get(0).textValue(), converter.toConnectHeader("t", "h", bytes));
    }
    Long timestamp = json.get("timestampMs").isNull() ? null : json.get("timestampMs").longValue();
    return new SinkRecord(json.get("topic").textValue(), json.get("partition").intValue(),
        null, plainValue(json.get("key")), null, plainValue(json.get("value")),
        json.get("offset").longValue(), timestamp, TimestampType.CREATE_TIME, headers);
  }

  static ObjectNode shown(SinkRecord record) {
    var converter = new SimpleHeaderConverter();
    ArrayNode headers = NODES.arrayNode();
    for (Header each : record.headers()) {
      byte[] bytes = converter.fromConnectHeader("t", "h", each.schema(), each.value());
      var text = bytes == null ? NODES.nullNode()
          : NODES.textNode(new String(bytes, StandardCharsets.UTF_8));
      headers.add(NODES.arrayNode().add(each.key()).add(text));
    }
    ObjectNode shown = NODES.objectNode().put("topic", record.topic());
    shown.set("key", plain(record.key()));
    shown.set("value", plain(record.value()));
    shown.set("headers", headers);
    return shown;
  }
}
