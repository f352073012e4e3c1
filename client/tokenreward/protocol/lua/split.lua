-- A queued shard becomes smaller ones, so that the item that kills its workers is found. Members that left the shard since
-- the caller looked are left out. Returns 1, or 0 when the shard is not queued.
-- ARGV: shard id, new shards as JSON (see queue.lua)
local held = redis.call('HMGET', tr.shard(ARGV[1]), 'state', 'members', 'turn')
if held[1] ~= 'queued' then return 0 end
local owed = {}
for _, member in ipairs(cjson.decode(held[2])) do owed[member.job] = true end
drop_shard(ARGV[1])
for _, shard in ipairs(cjson.decode(ARGV[2])) do
  local members = {}
  for _, member in ipairs(shard.members) do
    if owed[member.job] then members[#members + 1] = member end
  end
  shard.members, shard.turn = members, held[3]
  if #members > 0 then queue_shard(shard) end
end
return 1
