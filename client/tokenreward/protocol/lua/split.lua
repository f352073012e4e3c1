-- A queued shard becomes smaller ones, so that what kills its workers is found.
-- ARGV: shard id, new shards as JSON (see queue.lua)
if redis.call('HGET', shard_key(ARGV[1]), 'state') ~= 'queued' then return 0 end
drop_shard(ARGV[1])
for _, shard in ipairs(cjson.decode(ARGV[2])) do queue_shard(shard) end
return 1
