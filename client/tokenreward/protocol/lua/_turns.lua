-- This text stands in front of the transitions: the order in which waiting shards are claimed. Owners (API keys) take turns by the
-- tokens that they ask for, so that a job of millions of rows does not keep everybody else waiting. It is start-time fair
-- queueing (Goyal, Vin and Cheng, 1996): a shard's turn is the one that is being served, or the end of its owner's last
-- shard if that is later; a shard ends its own tokens after its turn. Interactive shards go first, in the order they came.

local function now()
  local t = redis.call('TIME')
  return tonumber(t[1]) + tonumber(t[2]) / 1e6
end

local INTERACTIVE = -1e12

-- Whose the jobs of a shard with these members are: the members of one shard have one owner, but for small calls.
local function owner_of(members)
  return members[1] and redis.call('HGET', tr.job(members[1].job), 'owner') or ''
end

-- The field of a shard's owner in `tr.owners`, and the tokens that the shard is charged with.
local function charge(shard)
  local held = redis.call('HMGET', tr.shard(shard), 'members', 'estimated')
  return 'o' .. owner_of(cjson.decode(held[1])), math.max(1, tonumber(held[2] or 0))
end

local function turn_of(shard, fp, front)
  if front then return INTERACTIVE + now() end
  local owner, tokens = charge(shard)
  local known = redis.call('HMGET', tr.owners(fp), '', owner)
  local turn = math.max(tonumber(known[1] or 0), tonumber(known[2] or 0))
  redis.call('HSET', tr.owners(fp), owner, string.format('%.0f', turn + tokens))
  return turn
end

-- A waiting shard will never be scored: its owner is not charged for it.
local function refund(shard)
  local held = redis.call('HMGET', tr.shard(shard), 'state', 'fp', 'turn')
  if held[1] ~= 'queued' or tonumber(held[3] or -1) < 0 then return end
  local owner, tokens = charge(shard)
  if redis.call('HEXISTS', tr.owners(held[2]), owner) == 1 then
    redis.call('HINCRBYFLOAT', tr.owners(held[2]), owner, -tokens)
  end
end

-- A shard waits. One that had a turn before, and was taken back or split, keeps it.
local function enter_queue(shard, fp, front)
  redis.call('ZADD', tr.queued(fp), string.format('%.6f', now()), shard)
  local turn = redis.call('HGET', tr.shard(shard), 'turn')
  if not turn then
    turn = string.format('%.6f', turn_of(shard, fp, front))
    redis.call('HSET', tr.shard(shard), 'turn', turn)
  end
  redis.call('ZADD', tr.turn(fp), turn, shard)
  if front then redis.call('SADD', tr.front(fp), shard) end
end

local function leave_queue(shard, fp)
  redis.call('ZREM', tr.queued(fp), shard)
  redis.call('ZREM', tr.turn(fp), shard)
  redis.call('SREM', tr.front(fp), shard)
end

-- The shard whose turn it is; nil if none waits. Whoever waits for nothing any more is forgotten with the last shard.
local function next_shard(fp)
  while true do
    local found = redis.call('ZRANGE', tr.turn(fp), 0, 0, 'WITHSCORES')
    if not found[1] then break end
    -- Redis' content is untrusted: what cannot be read must not be at its turn for ever.
    local held = redis.pcall('HMGET', tr.shard(found[1]), 'state', 'members')
    if held[1] == 'queued' and pcall(cjson.decode, held[2] or '') then
      if tonumber(found[2]) >= 0 then redis.call('HSET', tr.owners(fp), '', found[2]) end
      return found[1]
    end
    leave_queue(found[1], fp)  -- or claimed by a worker of a version that knows no turns
  end
  redis.call('DEL', tr.owners(fp))
  return redis.call('ZRANGE', tr.queued(fp), 0, 0)[1]  -- queued by such a version
end
