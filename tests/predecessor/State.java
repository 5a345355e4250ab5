import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.UnknownFieldSet.Field;
import java.io.ByteArrayOutputStream;
import java.io.ObjectOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import org.apache.mesos.Protos.Environment;
import org.apache.mesos.Protos.FrameworkID;
import org.apache.mesos.Protos.SlaveID;
import org.apache.mesos.Protos.TaskID;
import org.apache.mesos.Protos.TaskInfo;

/** Writes what versions of mesos/logstash kept in ZooKeeper below the directory of the first argument, a file for each node. */
public class State {
    private static Path root;

    public static void main(String[] arguments) throws Exception {
        root = Path.of(arguments[0]);
        Field docker = config("busybox:1", "input { file { docker-path => \"/var/log/a.log\" } }", 1);
        Field host = config("ui", "output { stdout { } }", 2);
        Field broken = config("broken:1", "filter { mutate {", 1);

        // 0.0.2: messages as they are.
        node("logstash-mesos/first/frameworkId", id("20150805-094500-16842879-5050-1-0001").toByteArray());
        node("logstash-mesos/first/latestConfig", configs(docker, host, broken).toByteArray());
        // 0.0.3 to 0.9: messages as Java objects.
        node("second/frameworkId", java(id("20150814-094500-16842879-5050-1-0002")));
        node("second/latestConfig", java(Environment.newBuilder().setUnknownFields(configs(docker)).build()));
        node("second/20150814-094500-16842879-5050-1-0002/stateList", java(new ArrayList<>(List.of(task("a"), task("b")))));
        // 0.10.
        node("third/frameworkid", java(id("20160331-094500-16842879-5050-1-0003")));
        node("third/tasks", java(new HashSet<>(List.of(task("a")))));
        // Of no version.
        node("fourth/latestConfig", java("text"));
        write("fourth/frameworkId", new byte[] {1, 2, 3});
        node("fourth/frameworkid", java(id("20160331-094500-16842879-5050-1-0004")));
    }

    /** An entry of the state library: name, UUID and value. */
    private static void node(String path, byte[] value) throws Exception {
        UnknownFieldSet entry = UnknownFieldSet.newBuilder()
            .addField(1, text(path.substring(path.lastIndexOf('/') + 1)))
            .addField(2, bytes(new byte[16]))
            .addField(3, bytes(value))
            .build();
        write(path, entry.toByteArray());
    }

    private static void write(String path, byte[] content) throws Exception {
        Path file = root.resolve(path);
        Files.createDirectories(file.getParent());
        Files.write(file, content);
    }

    /** What ObjectOutputStream makes of an object; of every message of Protocol Buffers its class's name and its bytes. */
    private static byte[] java(Object object) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(object);
        }
        return bytes.toByteArray();
    }

    private static FrameworkID id(String value) {
        return FrameworkID.newBuilder().setValue(value).build();
    }

    private static TaskInfo task(String name) {
        return TaskInfo.newBuilder()
            .setName(name)
            .setTaskId(TaskID.newBuilder().setValue(name))
            .setSlaveId(SlaveID.newBuilder().setValue("S0"))
            .build();
    }

    /** The predecessor's SchedulerMessage: its type, NEW_CONFIG, and the configurations. */
    private static UnknownFieldSet configs(Field... configs) {
        UnknownFieldSet.Builder message = UnknownFieldSet.newBuilder().addField(1, number(2));
        for (Field config : configs) {
            message.mergeField(2, config);
        }
        return message.build();
    }

    private static Field config(String name, String text, long type) {
        UnknownFieldSet config = UnknownFieldSet.newBuilder()
            .addField(1, text(name)).addField(2, text(text)).addField(3, number(type)).build();
        return bytes(config.toByteArray());
    }

    private static Field text(String text) {
        return Field.newBuilder().addLengthDelimited(ByteString.copyFromUtf8(text)).build();
    }

    private static Field bytes(byte[] bytes) {
        return Field.newBuilder().addLengthDelimited(ByteString.copyFrom(bytes)).build();
    }

    private static Field number(long number) {
        return Field.newBuilder().addVarint(number).build();
    }
}
