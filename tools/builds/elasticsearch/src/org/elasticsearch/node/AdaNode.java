package org.elasticsearch.node;

import ada.node.FailureStorePlugin;
import ada.node.RootInfoPlugin;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.BuiltInPluginsService;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.plugins.PluginsService;
import org.elasticsearch.transport.netty4.Netty4Plugin;

/**
 * Runs one Elasticsearch node in the foreground until SIGTERM, on loopback and without security.
 *
 * <p>Usage: {@code AdaNode HOME [SETTING=VALUE ...]}, where HOME takes the data and the settings are those of
 * elasticsearch.yml. The class sits in Elasticsearch's package because the constructors that take a plugin service of
 * one's own are visible only there.
 */
public final class AdaNode {
    private static final String NAME = "ada";
    private static final List<Class<? extends Plugin>> PLUGINS =
        List.of(Netty4Plugin.class, RootInfoPlugin.class, FailureStorePlugin.class);

    private AdaNode() {}

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]).toAbsolutePath();
        for (String folder : List.of("config", "tmp")) {
            Files.createDirectories(home.resolve(folder));
        }
        Settings settings = settings(home, Arrays.copyOfRange(arguments, 1, arguments.length));

        LogConfigurator.configureESLogging();
        LogConfigurator.setNodeName(NAME);
        LogConfigurator.configureWithoutConfig(Settings.builder().put("logger.level", "INFO").build());

        Node node = node(new Environment(settings, home.resolve("config")));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(node), "stop"));
        node.start();
        Thread.currentThread().join();
    }

    private static Settings settings(Path home, String[] overrides) {
        Settings.Builder settings = Settings.builder()
            .put("path.home", home.toString())
            .put("cluster.name", NAME)
            .put("node.name", NAME)
            .put("network.host", "127.0.0.1")
            .put("discovery.type", "single-node")
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            // A developer's disk is often nearly full; the node would refuse writes at 95 %.
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (String override : overrides) {
            String[] pair = override.split("=", 2);
            if (pair.length != 2) {
                throw new IllegalArgumentException("'" + override + "' is not SETTING=VALUE");
            }
            settings.put(pair[0], pair[1]);
        }
        return settings.build();
    }

    private static Node node(Environment environment) {
        PluginsLoader loader = PluginsLoader.createPluginsLoader(Set.of(), Set.of(), Map.of(), false);
        NodeServiceProvider services = new NodeServiceProvider() {
            @Override
            PluginsService newPluginService(Environment initial, PluginsLoader ignored) {
                return new BuiltInPluginsService(initial, loader, PLUGINS);
            }
        };
        return new Node(NodeConstruction.prepareConstruction(environment, loader, services, true));
    }

    private static void stop(Node node) {
        try {
            node.close();
            node.awaitClose(10, TimeUnit.SECONDS);
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }
}
