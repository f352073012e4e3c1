-- The outcomes of failed items of a finished job are removed, and the items are queued again; the others stay as they are.
-- The caller read the ranges at `version`; if the job changed since, nothing happens (0).
-- ARGV: job id, version, ranges to remove as JSON ["start:count"], ranges to add as JSON [[start, count]],
--       failed items forgotten, shards as JSON (see queue.lua), then one blob for each range to add
local job = ARGV[1]
local key = tr.job(job)
if redis.call('HGET', key, 'version') ~= ARGV[2] or not TERMINAL[state_of(job) or ''] then return 0 end
for _, range in ipairs(cjson.decode(ARGV[3])) do
  redis.call('ZREM', tr.ranges(job), range)
  redis.call('HDEL', tr.results(job), string.match(range, '^(%d+):'))
end
for i, range in ipairs(cjson.decode(ARGV[4])) do
  redis.call('ZADD', tr.ranges(job), range[1], range[1] .. ':' .. range[2])
  redis.call('HSET', tr.results(job), range[1], ARGV[6 + i])
end
redis.call('HINCRBY', key, 'failed', -tonumber(ARGV[5]))
local done = redis.call('HINCRBY', key, 'done', -tonumber(ARGV[5]))
-- What was done before is no part of the new run's rate.
redis.call('HSET', key, 'done_before', done, 'tokens_before', redis.call('HGET', key, 'tokens'))
redis.call('HDEL', key, 'started', 'progressed')
for _, shard in ipairs(cjson.decode(ARGV[6])) do queue_shard(shard) end
transition(job, 'queued')
return 1
