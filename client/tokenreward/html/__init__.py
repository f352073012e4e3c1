"""HTML documents, and making text of unknown origin harmless in them."""
