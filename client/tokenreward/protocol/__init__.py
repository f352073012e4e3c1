"""The protocol between the service and the workers, who never import one another, over Redis.

- `keys` names all keys.
- `scripts` are the changes of state, as Lua that Redis runs atomically. The transition table is in
  `lua/_job_transitions.lua`.
- `records` are the shards and claims, `worker_records` the workers and models.
- `arrow_blobs` are items and results as compressed Arrow, `spill` decides whether Redis or a blob store holds them.
- `doorbell` is the RQ queue that tells a worker of a shard.
- `redis_url` checks the store's address, `cluster_mode` that the store is not in cluster mode.

Nothing here opens a connection to Redis, and nothing read from Redis is ever executed.
"""
