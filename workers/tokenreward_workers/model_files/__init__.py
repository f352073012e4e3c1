"""A model on disk: which directory a name means, the demo model, and the fingerprint of its content."""
