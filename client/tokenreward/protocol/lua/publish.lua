-- A job becomes visible: its record, and outcomes for the items that were wrong. Its shards follow in the same
-- transaction (`queue.lua`), as do their doorbells. Items were staged before, under an expiry that is lifted here.
-- ARGV: job id, record as JSON {field: value}, owner, then (start, count, blob) of each range of wrong items
local job = ARGV[1]
local key = job_key(job)
if redis.call('EXISTS', key) == 1 then return 0 end
local created = string.format('%.6f', now())
for field, value in pairs(cjson.decode(ARGV[2])) do redis.call('HSET', key, field, value) end
redis.call('HSET', key, 'state', 'queued', 'version', 1, 'created', created, 'done', 0, 'failed', 0, 'tokens', 0)
redis.call('PERSIST', key .. ':items')
redis.call('ZADD', 'tr:jobs:' .. ARGV[3], created, job)
for i = 4, #ARGV, 3 do finish_range(job, tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 1]), 0, ARGV[i + 2]) end
return 1
