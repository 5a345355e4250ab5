import ch.qos.logback.classic.LoggerContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;

/** An application that logs as they do, and ends when what it logged is sent. */
public class Client {
    public static void main(String[] arguments) {
        Logger logger = LoggerFactory.getLogger("cart");
        MDC.put("order", "4711");
        logger.info("sold {} {}", 2, "chairs");
        logger.error("it broke", new IllegalStateException("no chair is left"));
        ((LoggerContext) LoggerFactory.getILoggerFactory()).stop();
    }
}
