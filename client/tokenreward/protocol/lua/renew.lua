-- The engine made progress: all shards that its worker holds keep their lease.
-- Returns JSON {owed: {shard: [job]}, overtakes}: the jobs that wait for each shard that the worker still holds (jobs that
-- are over have left it), and whether what is to be claimed next should not wait for these shards: it is interactive, or it
-- is the work of an owner of whom the worker holds nothing.
-- ARGV: worker id, lease seconds, fingerprint, shard ids...
local owed, owners = {}, {}
local deadline = now() + tonumber(ARGV[2])
for i = 4, #ARGV do
  local shard = ARGV[i]
  local held = redis.call('HMGET', tr.shard(shard), 'state', 'worker', 'members')
  if held[1] == 'claimed' and held[2] == ARGV[1] then
    redis.call('ZADD', tr.claimed, 'XX', deadline, shard)
    owed[shard] = {}
    local members = cjson.decode(held[3])
    for n, member in ipairs(members) do owed[shard][n] = member.job end
    local known, owner = pcall(owner_of, members)
    if known then owners[owner] = true end
  end
end
local overtakes = redis.call('SCARD', tr.front(ARGV[3])) > 0
local waiting = not overtakes and redis.call('ZRANGE', tr.turn(ARGV[3]), 0, 0)[1]
if waiting then
  -- Redis' content is untrusted: a record that cannot be read must not end the leases of what can.
  local known, owner = pcall(function()
    return owner_of(cjson.decode(redis.call('HGET', tr.shard(waiting), 'members')))
  end)
  overtakes = known and not owners[owner]
end
return cjson.encode({ owed = owed, overtakes = overtakes })
