-- A claimed shard goes back to the queue. ARGV: shard id, worker that held it, 1 if that worker is lost (0: handed back)
-- The first loss of a shard's worker counts as an attempt on it. Later losses count only if the engine was at this shard,
-- so that a shard that waited for the engine or for its commit is not blamed for what killed the worker.
-- Returns JSON {attempts, fp, members}, or false when that worker does not hold the shard any more.
local shard = ARGV[1]
local key = tr.shard(shard)
local held = redis.call('HMGET', key, 'state', 'worker', 'fp', 'members', 'attempts', 'front')
if held[1] ~= 'claimed' or held[2] ~= ARGV[2] then return false end
local attempts = tonumber(held[5])
local blamed = attempts == 0 or redis.call('GET', tr.scoring(ARGV[2])) == shard
if ARGV[3] == '1' and blamed then attempts = attempts + 1 end
redis.call('HSET', key, 'state', 'queued', 'attempts', attempts)
redis.call('HDEL', key, 'worker')
redis.call('ZREM', tr.claimed, shard)
enter_queue(shard, held[3], held[6] == '1')
return cjson.encode({ attempts = attempts, fp = held[3], members = cjson.decode(held[4]) })
