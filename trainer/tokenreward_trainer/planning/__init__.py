"""What a run will need, before it starts: memory of each card, steps and tokens, and what would be refused here."""
