-- Doorbells at the head of a queue that announce no queued shard are removed, a thousand at a time. Cancelling a job leaves
-- all of its doorbells behind. A shard that is queued again gets a new one.
-- ARGV: RQ's key of the queue. Returns how many were removed.
local bells = redis.call('LRANGE', ARGV[1], 0, 999)
local idle = 0
for _, shard in ipairs(bells) do
  if redis.pcall('HGET', tr.shard(shard), 'state') == 'queued' then break end
  redis.call('DEL', 'rq:job:' .. shard)
  idle = idle + 1
end
if idle > 0 then redis.call('LTRIM', ARGV[1], idle, -1) end
return idle
