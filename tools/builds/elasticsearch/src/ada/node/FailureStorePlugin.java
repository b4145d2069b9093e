package ada.node;

import java.util.Map;
import org.elasticsearch.index.mapper.Mapper;
import org.elasticsearch.index.mapper.TextFieldMapper;
import org.elasticsearch.plugins.MapperPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * Lets failure stores be made: their mapping, which is in the server, has a field of the type {@code match_only_text}.
 *
 * <p>That type is in a module that is not published on Maven Central. Here it is {@code text}, which finds the same.
 */
public final class FailureStorePlugin extends Plugin implements MapperPlugin {
    @Override
    public Map<String, Mapper.TypeParser> getMappers() {
        return Map.of("match_only_text", TextFieldMapper.PARSER);
    }
}
