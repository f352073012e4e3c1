"""Changes of jobs: the Redis subscription that hears of them, and the event streams that tell readers."""
