"""The recording pipeline: records, batches, encodes and sends; right after fork, and never in the way."""
