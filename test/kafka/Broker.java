import java.io.IOException;

/**
 * A Kafka broker that does not outlive the test that started it: when the test's process ends, in
 * any way, this one's stdin ends too.
 */
public class Broker {
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
    kafka.Kafka.main(args);
  }
}
