"""API keys: how they are stored and checked, and the command that manages them."""
