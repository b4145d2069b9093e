"""Builds the servers from source into the cache folder, each named by the hash of all that went into it."""
