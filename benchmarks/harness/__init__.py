"""Real processes for tests and benchmarks: a job store, an API and workers, each of which may be killed.

The tests and the benchmarks both stand on this package, and neither imports the other's helpers. It is not part of the
wheel; an editable install makes it importable.
"""
