-- The engine made progress: whatever its worker holds keeps its lease.
-- Returns "lost lost|unwanted unwanted|n": shards it holds no more, jobs that were cancelled or purged, and how many
-- interactive shards wait for a worker like it.
-- ARGV: worker id, lease seconds, fingerprint, shard ids...
local lost, unwanted, seen = {}, {}, {}
local deadline = now() + tonumber(ARGV[2])
for i = 4, #ARGV do
  local shard = ARGV[i]
  local held = redis.call('HMGET', shard_key(shard), 'state', 'worker', 'members')
  if held[1] == 'claimed' and held[2] == ARGV[1] then
    redis.call('ZADD', 'tr:claimed', 'XX', deadline, shard)
    for _, member in ipairs(cjson.decode(held[3])) do
      if not seen[member.job] then
        seen[member.job] = true
        if not wanted(member.job) then unwanted[#unwanted + 1] = member.job end
      end
    end
  else
    lost[#lost + 1] = shard
  end
end
return table.concat(lost, ' ') .. '|' .. table.concat(unwanted, ' ') .. '|' .. redis.call('SCARD', 'tr:front:' .. ARGV[3])
