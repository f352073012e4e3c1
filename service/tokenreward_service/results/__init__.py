"""The results of a job: reading them, choosing and ordering rows, encoding them, and running failed items again."""
