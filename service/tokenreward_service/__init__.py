"""The labeling service: the HTTP API, the job store in Redis, recovery of lost work, and the embedded mode."""
