package ada.node;

import java.util.Set;
import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.features.FeatureSpecification;
import org.elasticsearch.features.NodeFeature;

/**
 * Says that this node has the failure store of data streams.
 *
 * <p>All of it is in the server; only this word for it is in a module that is not published on Maven Central.
 */
public final class DataStreamFeatures implements FeatureSpecification {
    @Override
    public Set<NodeFeature> getFeatures() {
        return Set.of(DataStream.DATA_STREAM_FAILURE_STORE_FEATURE);
    }
}
