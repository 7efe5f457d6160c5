import java.io.IOException;

/**
 * A Kafka broker that does not outlive the test that started it: when that process ends, however it
 * ends, so does this one's stdin.
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
