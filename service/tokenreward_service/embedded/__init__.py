"""Embedded mode: the job store and the worker that `tokenreward serve` runs as its own children."""
