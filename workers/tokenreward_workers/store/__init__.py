"""A worker's side of the job store."""
