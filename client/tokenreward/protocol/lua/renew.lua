-- The engine made progress: all shards that its worker holds keep their lease.
-- Returns JSON {owed: {shard: [job]}, front}: the jobs that wait for each shard that the worker still holds (jobs that are
-- over have left it), and how many interactive shards wait for a worker with its fingerprint.
-- ARGV: worker id, lease seconds, fingerprint, shard ids...
local owed = {}
local deadline = now() + tonumber(ARGV[2])
for i = 4, #ARGV do
  local shard = ARGV[i]
  local held = redis.call('HMGET', tr.shard(shard), 'state', 'worker', 'members')
  if held[1] == 'claimed' and held[2] == ARGV[1] then
    redis.call('ZADD', tr.claimed, 'XX', deadline, shard)
    owed[shard] = {}
    for n, member in ipairs(cjson.decode(held[3])) do owed[shard][n] = member.job end
  end
end
return cjson.encode({ owed = owed, front = redis.call('SCARD', tr.front(ARGV[3])) })
