"""What the trainer asks of a language model: log-probs of completion tokens, packed attention, the chunked LM head."""
