-- A job becomes visible, with its record and with outcomes for the items that were wrong. Its shards (`queue.lua`) and
-- their doorbells follow in the same transaction. Its items were staged before, under an expiry that is lifted here.
-- ARGV: job id, record as JSON {field: value}, owner, how many slices were staged, then (start, count, blob) of each range
-- of wrong items. Returns 1, 0 if the job is there already, or -1 if slices are missing: a store that has just taken over
-- may lack the last ones, and nothing is left of such a job.
local job = ARGV[1]
local key = tr.job(job)
if redis.call('EXISTS', key) == 1 then return 0 end
local record = cjson.decode(ARGV[2])
if redis.call('HLEN', tr.items(job)) < tonumber(ARGV[4]) then
  redis.call('DEL', tr.items(job))
  if record.idempotency then redis.call('DEL', record.idempotency) end
  return -1
end
local jobs = tr.jobs(ARGV[3])
-- Jobs of one transaction see the same time. A page of the list ends between two jobs, so each gets a time of its own.
local created = now()
local newest = redis.call('ZREVRANGE', jobs, 0, 0, 'WITHSCORES')[2]
if newest and tonumber(newest) >= created then created = tonumber(newest) + 1e-6 end
created = string.format('%.6f', created)
for field, value in pairs(record) do redis.call('HSET', key, field, value) end
redis.call('HSET', key, 'state', 'queued', 'version', 1, 'created', created, 'done', 0, 'failed', 0, 'tokens', 0)
redis.call('PERSIST', tr.items(job))
-- Jobs expire, but their place in the list does not. Four places are checked for each new job, which keeps the stale ones
-- below a third of the list.
for _, name in ipairs(redis.call('ZRANDMEMBER', jobs, 4)) do
  if redis.call('EXISTS', tr.job(name)) == 0 then redis.call('ZREM', jobs, name) end
end
redis.call('ZADD', jobs, created, job)
for i = 5, #ARGV, 3 do finish_range(job, tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 1]), 0, ARGV[i + 2]) end
return 1
