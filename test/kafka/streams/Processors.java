import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.KStream;

/** The processors of the topologies; millrace.ts has the same. */
class Processors {
  static Object add(StreamsBuilder builder, KStream<Object, Object> stream, JsonNode step) {
    throw new UnsupportedOperationException("process");
  }

  static Object addValues(StreamsBuilder builder, KStream<Object, Object> stream, JsonNode step) {
    throw new UnsupportedOperationException("processValues");
  }

  /** The step with another name for its store. */
  static JsonNode withStore(JsonNode step, String store) {
    return ((ObjectNode) step.deepCopy()).put("store", store);
  }
}
