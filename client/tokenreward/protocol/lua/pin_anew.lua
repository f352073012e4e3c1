-- A job is pinned to another set-up, as a whole: it has one provenance, so it must not have any rewards yet.
-- Outcomes that are errors are forgotten. The job leaves its shards, claimed ones too, so that a worker of the old set-up
-- that comes back finds nothing to claim, and cannot commit what it holds.
-- ARGV: job id, digest that it is pinned to, the new digest, its options as JSON with the new provenance,
--       shards for all of its items as JSON (see queue.lua), the state that the caller saw
-- Returns 1, or 0 when the job has ended since, is gone or pinned otherwise, or -1 when it has rewards.
local job = ARGV[1]
local key = tr.job(job)
local held = redis.call('HMGET', key, 'fp', 'done', 'failed', 'state')
if held[1] ~= ARGV[2] or (TERMINAL[held[4]] and held[4] ~= ARGV[6]) then return 0 end
if held[2] ~= held[3] then return -1 end
disown(job)
redis.call('DEL', tr.results(job), tr.ranges(job))
redis.call('HSET', key, 'fp', ARGV[3], 'options', ARGV[4], 'done', 0, 'failed', 0, 'tokens', 0)
redis.call('HDEL', key, 'started', 'progressed', 'done_before', 'tokens_before')
for _, shard in ipairs(cjson.decode(ARGV[5])) do queue_shard(shard) end
if held[4] == 'queued' then touched(job) else transition(job, 'queued') end
return 1
