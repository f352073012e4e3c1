"""Work that survives being killed, and the hashes by which it is known again."""
