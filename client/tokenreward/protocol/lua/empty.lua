-- A job that is over loses its items and results, and keeps its record. The records of emptied jobs of one run become one,
-- which has the sum of their counts, so that a large file leaves one line and not hundreds.
-- ARGV: job id, owner, run or ''. Returns 1, or 0 when there is no such job or it is not over.
local job, owner, run = ARGV[1], ARGV[2], ARGV[3]
local key = tr.job(job)
if not TERMINAL[state_of(job) or ''] then return 0 end
local idempotency = redis.call('HGET', key, 'idempotency')
if idempotency then redis.call('DEL', idempotency) end
redis.call('HDEL', key, 'idempotency')
redis.call('DEL', tr.items(job), tr.results(job), tr.ranges(job), tr.shards(job))
if redis.call('HGET', key, 'emptied') then return 1 end
redis.call('HSET', key, 'emptied', 1)
if run ~= '' then
  local head = redis.call('GET', tr.run(owner, run))
  if head and head ~= job and redis.call('EXISTS', tr.job(head)) == 1 then
    for _, field in ipairs({ 'total', 'done', 'failed', 'invalid', 'estimated', 'tokens' }) do
      redis.call('HINCRBY', tr.job(head), field, redis.call('HGET', key, field))
    end
    redis.call('HSET', tr.job(head), 'finished', redis.call('HGET', key, 'finished'))
    local ttl = tonumber(redis.call('HGET', tr.job(head), 'ttl') or '0')
    if ttl > 0 then
      redis.call('EXPIRE', tr.job(head), ttl)
      redis.call('EXPIRE', tr.run(owner, run), ttl)
    end
    redis.call('DEL', key)
    redis.call('ZREM', tr.jobs(owner), job)
    redis.call('PUBLISH', tr.events, job .. ' 0')
    touched(head)
    return 1
  end
  local ttl = tonumber(redis.call('HGET', key, 'ttl') or '0')
  redis.call('SET', tr.run(owner, run), job)
  if ttl > 0 then redis.call('EXPIRE', tr.run(owner, run), ttl) end
end
touched(job)
return 1
