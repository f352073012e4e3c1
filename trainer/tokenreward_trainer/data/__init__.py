"""Training data: from labeled files to tokenized pairs, and from pairs to tensors."""
