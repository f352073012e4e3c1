-- One model has had its turn at a shard whose items have branches of another model, too: what it said of each item is kept,
-- and the shard goes to the next model's queue, as new. The caller rings the doorbell in the same transaction.
-- Nothing happens if the shard is not at this model any more: it was passed on by another worker, or its jobs are over.
-- ARGV: shard id, digest of the model that had its turn, digest of the next one, then (job, index, part) of each item
-- Returns 1 or 0.
local shard = ARGV[1]
local key = tr.shard(shard)
local held = redis.call('HMGET', key, 'fp', 'members', 'front')
if held[1] ~= ARGV[2] then return 0 end
local owed = {}
for _, member in ipairs(cjson.decode(held[2])) do owed[member.job] = true end
for i = 4, #ARGV, 3 do
  if owed[ARGV[i]] and wanted(ARGV[i]) then redis.call('HSET', tr.parts(ARGV[i]), ARGV[i + 1], ARGV[i + 2]) end
end
leave_queue(shard, ARGV[2])
redis.call('ZREM', tr.claimed, shard)
redis.call('HDEL', key, 'worker', 'turn')  -- its turn was one of the other queue's
redis.call('HSET', key, 'state', 'queued', 'fp', ARGV[3], 'attempts', 0)
enter_queue(shard, ARGV[3], held[3] == '1')
return 1
