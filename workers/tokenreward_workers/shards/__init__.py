"""A worker's shards on their way: claimed, prepared, scored as one stream, and committed."""
