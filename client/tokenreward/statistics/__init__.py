"""Statistics that several parts share: bootstrap intervals, and the figures of a labeled file's rewards."""
