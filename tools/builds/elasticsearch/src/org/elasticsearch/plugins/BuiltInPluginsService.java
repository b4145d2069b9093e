package org.elasticsearch.plugins;

import ada.node.DataStreamFeatures;
import java.util.ArrayList;
import java.util.List;
import org.elasticsearch.Build;
import org.elasticsearch.action.admin.cluster.node.info.PluginsAndModules;
import org.elasticsearch.env.Environment;
import org.elasticsearch.features.FeatureSpecification;

/** Offers plugins from the application class path, where Elasticsearch itself only looks into folders of archives. */
public final class BuiltInPluginsService extends PluginsService {
    private final List<LoadedPlugin> loaded;

    public BuiltInPluginsService(Environment environment, PluginsLoader loader, List<Class<? extends Plugin>> plugins) {
        super(environment.settings(), environment.configDir(), loader);
        loaded = plugins.stream()
            .map(plugin -> new LoadedPlugin(
                describe(plugin),
                loadPlugin(plugin, environment.settings(), environment.configDir()),
                plugin.getClassLoader()))
            .toList();
    }

    @Override
    protected List<LoadedPlugin> plugins() {
        return loaded;
    }

    @Override
    public PluginsAndModules info() {
        return new PluginsAndModules(List.of(), loaded.stream().map(LoadedPlugin::descriptor).toList());
    }

    @Override
    public <T> List<? extends T> loadServiceProviders(Class<T> service) {
        List<T> found = new ArrayList<>(super.loadServiceProviders(service));
        if (service == FeatureSpecification.class) {
            found.add(service.cast(new DataStreamFeatures()));
        }
        return found;
    }

    private static PluginDescriptor describe(Class<? extends Plugin> plugin) {
        String javaVersion = Integer.toString(Runtime.version().feature());
        return new PluginDescriptor(
            plugin.getSimpleName(), "on the class path", "NA", Build.current().version(), javaVersion,
            plugin.getName(), null, List.of(), false, false, false, false, null);
    }
}
