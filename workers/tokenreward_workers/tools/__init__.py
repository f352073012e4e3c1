"""Commands that show what a worker does, without a worker."""
