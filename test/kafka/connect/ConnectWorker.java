import java.io.IOException;
import org.apache.kafka.connect.cli.ConnectDistributed;

/** A worker of Kafka Connect that does not outlive the test that started it: see Broker. */
public class ConnectWorker {
  public static void main(String[] args) {
    var watch = new Thread(() -> {
      try {
        while (System.in.read() != -1) {}
      } catch (IOException failure) {
        failure.printStackTrace();
      }
      Runtime.getRuntime().halt(1);
    });
    watch.setDaemon(true);
    watch.start();
    ConnectDistributed.main(args);
  }
}
