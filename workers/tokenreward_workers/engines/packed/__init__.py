"""The transformers engine: sequences that begin alike are read once, packed into passes without padding."""
