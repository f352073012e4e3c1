"""What the service and the workers say to each other through Redis.

The two never import one another; this is the whole of what they share:

- `keys`: the names of all keys;
- `scripts`: every change of state, as Lua that Redis runs atomically (`lua/`; the transition table is in
  `_job_state.lua`);
- `shards`: the records of shards and workers;
- `blobs`: items and results as zstd-compressed Arrow, inline or spilled;
- `doorbell`: the RQ queue that tells a worker of a shard.

Nothing here opens a connection, and nothing read from Redis is ever executed.
"""
