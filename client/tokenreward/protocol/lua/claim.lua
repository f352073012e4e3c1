-- A worker answers a doorbell: it gets the shard whose turn it is, which need not be the one that rang.
-- ARGV: fingerprint digest, worker id, lease seconds, shard id (that shard; empty: the next one)
-- Returns JSON {shard, members, jobs: {id: options}, owner, front, attempts}, or false when there is nothing to do: no shard waits,
-- or nobody waits for this one any more.
local worker = ARGV[2]
local shard = ARGV[4] ~= '' and ARGV[4] or next_shard(ARGV[1])
if not shard then return false end
local key = tr.shard(shard)
if redis.call('HGET', key, 'state') ~= 'queued' then return false end
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
return cjson.encode({ shard = shard, members = members, jobs = jobs, owner = owner_of(members), front = known[1] == '1',
                       attempts = tonumber(known[2]) })
