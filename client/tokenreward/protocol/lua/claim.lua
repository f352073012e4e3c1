-- A worker answers the doorbell. Returns JSON {members, jobs: {id: options}, front, attempts}, or false when there is
-- nothing to do: another worker has the shard, it is done, or no job waits for it any more.
-- A doorbell may ring late, when the shard has gone on to another of its models: that model's workers have it then.
-- ARGV: shard id, worker id, lease seconds, the worker's fingerprint (workers of earlier versions do not say it)
local shard, worker = ARGV[1], ARGV[2]
local key = tr.shard(shard)
if redis.call('HGET', key, 'state') ~= 'queued' then return false end
if ARGV[4] and redis.call('HGET', key, 'fp') ~= ARGV[4] then return false end
local members, jobs = {}, {}
for _, member in ipairs(cjson.decode(redis.call('HGET', key, 'members'))) do
  if wanted(member.job) then
    transition(member.job, 'running')
    members[#members + 1] = member
    jobs[member.job] = redis.call('HGET', tr.job(member.job), 'options')
  end
end
if #members == 0 then drop_shard(shard) return false end
redis.call('HSET', key, 'state', 'claimed', 'worker', worker)
leave_queue(shard, redis.call('HGET', key, 'fp'))
redis.call('ZADD', tr.claimed, now() + tonumber(ARGV[3]), shard)
local known = redis.call('HMGET', key, 'front', 'attempts')
return cjson.encode({ members = members, jobs = jobs, front = known[1] == '1', attempts = tonumber(known[2]) })
