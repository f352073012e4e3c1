-- A job and everything it owns vanish. ARGV: job id, owner. Returns 1, or 0 when there is no such job.
local job = ARGV[1]
local there = redis.call('EXISTS', job_key(job))
local idempotency = redis.call('HGET', job_key(job), 'idempotency')
if idempotency then redis.call('DEL', idempotency) end
for _, shard in ipairs(redis.call('SMEMBERS', job_key(job) .. ':shards')) do
  local held = redis.call('HMGET', shard_key(shard), 'state', 'members')
  if held[1] == 'queued' and #cjson.decode(held[2]) == 1 then drop_shard(shard) end
end
for _, key in ipairs(job_keys(job)) do redis.call('DEL', key) end
redis.call('ZREM', 'tr:jobs:' .. ARGV[2], job)
redis.call('PUBLISH', 'tr:events', job .. ' 0')
return there
