-- There is a doorbell for each queued shard. Those that are too many are removed from the head of the queue, a thousand at a
-- time. Cancelling a job leaves all of its doorbells behind.
-- ARGV: RQ's key of the queue, fingerprint digest. Returns how many were removed.
local idle = math.min(redis.call('LLEN', ARGV[1]) - redis.call('ZCARD', tr.queued(ARGV[2])), 1000)
if idle <= 0 then return 0 end
for _, shard in ipairs(redis.call('LRANGE', ARGV[1], 0, idle - 1)) do redis.call('DEL', 'rq:job:' .. shard) end
redis.call('LTRIM', ARGV[1], idle, -1)
return idle
