-- A job and everything that it owns is removed. ARGV: job id, owner. Returns 1, or 0 when there is no such job.
local job = ARGV[1]
local there = redis.call('EXISTS', tr.job(job))
local idempotency = redis.call('HGET', tr.job(job), 'idempotency')
if idempotency then redis.call('DEL', idempotency) end
disown(job)
for _, key in ipairs(job_keys(job)) do redis.call('DEL', key) end
redis.call('ZREM', tr.jobs(ARGV[2]), job)
redis.call('PUBLISH', tr.events, job .. ' 0')
return there
