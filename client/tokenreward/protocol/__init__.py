"""The protocol between the service and the workers, who never import one another, over Redis.

- `keys` names all keys.
- `scripts` are the changes of state, as Lua that Redis runs atomically. The transition table is in
  `lua/_job_transitions.lua`.
- `records` are the shards and claims, `worker_records` the workers and models.
- `arrow_blobs` are items and results as compressed Arrow, `spill` decides whether Redis or a blob store holds them.
- `doorbell` is the RQ queue that tells a worker of a shard.
- `connections` makes the clients of the store, be it one server or behind Sentinels. `redis_url` checks its address,
  `cluster_mode` that it is not in cluster mode. `refusals` tells what it will take later from what it never will.

Nothing read from Redis is ever executed.
"""
