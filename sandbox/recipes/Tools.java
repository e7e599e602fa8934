import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command-line tools in one virtual machine: a session of many calls starts it once.
 *
 * <p>A call sends a secret, its process, a class and arguments, each ended by a zero byte and all of
 * them by an empty one. The tool uses the files 7, 8 and 9 of that process as its input, output and
 * error output, and its exit code is the answer. A call that is killed closes the connection, and the
 * tool ends as by a signal.
 */
public class Tools {
    /** What a call has of its own. The threads that a tool starts inherit it. */
    static final class Call {
        final String process;
        final List<Runnable> hooks = new ArrayList<>();
        final PrintStream out, err;
        private InputStream in;
        /** Set by the first exit: what follows it, a virtual machine would not do. */
        volatile Integer code;

        Call(String process) throws IOException {
            this.process = process;
            out = open("8");
            err = open("9");
        }

        private PrintStream open(String file) throws IOException {
            return new PrintStream(new FileOutputStream("/proc/" + process + "/fd/" + file, true), true);
        }

        /** Opened when it is read: most tools don't. */
        synchronized InputStream in() throws IOException {
            if (in == null) in = new FileInputStream("/proc/" + process + "/fd/7");
            return in;
        }
    }

    /** Unwinds a tool that has called exit. */
    static final class Ended extends Error {
        Ended() {
            super(null, null, false, false);
        }
    }

    static final InheritableThreadLocal<Call> CALL = new InheritableThreadLocal<>();

    public static void main(String[] arguments) throws Exception {
        var secret = System.getenv("KAFKA_TOOLS_SECRET");
        var libraries = new ArrayList<URL>();
        for (var file : System.getProperty("java.class.path").split(File.pathSeparator)) {
            libraries.add(Path.of(file).toUri().toURL());
        }
        PrintStream out = System.out, err = System.err;
        System.setOut(new PrintStream(new Output(call -> call.out, out), true));
        System.setErr(new PrintStream(new Output(call -> call.err, err), true));
        System.setIn(new Input());
        Exit.Procedure end = (code, message) -> {
            var call = CALL.get();
            if (call != null && call.code == null) call.code = code;
            throw new Ended();
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        Exit.setShutdownHookAdder((name, hook) -> {
            var call = CALL.get();
            if (call != null) synchronized (call) { call.hooks.add(hook); }
        });
        try (var server = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"))) {
            out.println("port " + server.getLocalPort());
            out.flush();
            while (true) {
                var connection = server.accept();
                new Thread(() -> answer(connection, secret, libraries.toArray(URL[]::new))).start();
            }
        }
    }

    static void answer(Socket connection, String secret, URL[] libraries) {
        try (connection) {
            var parts = read(connection.getInputStream());
            if (parts.size() < 3 || !parts.get(0).equals(secret)) return;
            var call = new Call(parts.get(1));
            CALL.set(call);
            var arguments = parts.subList(3, parts.size()).toArray(String[]::new);
            var tool = new Thread(() -> run(call, libraries, parts.get(2), arguments));
            tool.start();
            var watch = new Thread(() -> endWhenGone(connection, call, tool));
            watch.setDaemon(true);
            watch.start();
            tool.join();
            connection.getOutputStream().write((call.code + "\n").getBytes(StandardCharsets.US_ASCII));
        } catch (IOException | InterruptedException gone) {
            // Nobody waits for the answer any more.
        }
    }

    static List<String> read(InputStream in) throws IOException {
        var parts = new ArrayList<String>();
        var part = new ByteArrayOutputStream();
        for (int b = in.read(); b >= 0; b = in.read()) {
            if (b != 0) {
                part.write(b);
            } else if (part.size() == 0) {
                break;
            } else {
                // An argument that is empty comes as one byte that no argument has.
                var text = part.toString(StandardCharsets.UTF_8);
                parts.add(text.equals("\u0001") ? "" : text);
                part.reset();
            }
        }
        return parts;
    }

    static void run(Call call, URL[] libraries, String name, String[] arguments) {
        int code = 1;
        try {
            var main = new Fresh(libraries).loadClass(name).getMethod("main", String[].class);
            main.invoke(null, (Object) arguments);
            code = 0;
        } catch (java.lang.reflect.InvocationTargetException failed) {
            if (call.code == null) failed.getCause().printStackTrace(call.err);
        } catch (ReflectiveOperationException wrong) {
            wrong.printStackTrace(call.err);
        }
        if (call.code == null) call.code = code;
        hooks(call);
        call.out.close();
        call.err.close();
    }

    /** What a virtual machine does at its end. */
    static void hooks(Call call) {
        List<Runnable> hooks;
        synchronized (call) {
            hooks = new ArrayList<>(call.hooks);
            call.hooks.clear();
        }
        for (var hook : hooks) {
            var thread = new Thread(hook);
            thread.start();
            try {
                thread.join(5000);
            } catch (InterruptedException over) {
                return;
            }
        }
    }

    static void endWhenGone(Socket connection, Call call, Thread tool) {
        try {
            if (connection.getInputStream().read() >= 0) return;
        } catch (IOException gone) {
            // As above.
        }
        hooks(call);
        tool.interrupt();
    }

    /** The tools' own classes anew for each call: they keep counts in static fields. */
    static final class Fresh extends URLClassLoader {
        Fresh(URL[] libraries) {
            super(libraries, Tools.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith("org.apache.kafka.tools.") && !name.startsWith("kafka.")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                var loaded = findLoadedClass(name);
                return loaded != null ? loaded : findClass(name);
            }
        }
    }

    interface Of { OutputStream stream(Call call); }

    static final class Output extends OutputStream {
        private final Of of;
        private final OutputStream own;

        Output(Of of, OutputStream own) {
            this.of = of;
            this.own = own;
        }

        private OutputStream stream() {
            var call = CALL.get();
            if (call == null) return own;
            return call.code == null ? of.stream(call) : nullOutputStream();
        }

        @Override public void write(int b) throws IOException { stream().write(b); }
        @Override public void write(byte[] b, int from, int length) throws IOException { stream().write(b, from, length); }
        @Override public void flush() throws IOException { stream().flush(); }
    }

    static final class Input extends InputStream {
        @Override public int read() throws IOException { return CALL.get().in().read(); }
        @Override public int read(byte[] b, int from, int length) throws IOException { return CALL.get().in().read(b, from, length); }
        @Override public int available() throws IOException { return CALL.get().in().available(); }
    }
}
