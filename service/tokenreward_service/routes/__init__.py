"""The HTTP surface, one module a resource. What a request means is decided here; the work is done elsewhere."""
