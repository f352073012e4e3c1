-- This text stands in front of every script: the state of a job, and the only code that changes it. Before it come the
-- table `tr`, which has the names of the keys (`keys.py`), and `_turns.lua`.
--
-- tr.job(id) holds: state version owner fp created started finished total done failed estimated tokens
--                   done_before tokens_before progressed options ttl idempotency origin emptied

-- from -> to. No other transition happens. A job as a whole never fails: whatever goes wrong, each of its items gets an
-- outcome of its own.
local TRANSITIONS = {
  queued    = { running = true, succeeded = true, cancelled = true },
  running   = { succeeded = true, cancelled = true, queued = true },  -- queued: it is pinned to another set-up
  succeeded = { queued = true },   -- retry of failed items
  cancelled = { queued = true },
}
local TERMINAL = { succeeded = true, cancelled = true }

local function job_keys(job)
  return { tr.job(job), tr.items(job), tr.results(job), tr.ranges(job), tr.shards(job), tr.parts(job) }
end

local function state_of(job) return redis.call('HGET', tr.job(job), 'state') end
local function wanted(job)
  local state = state_of(job)
  return state == 'queued' or state == 'running'
end

-- Every change of a job ends here: the version grows, and those who watch the job are told.
local function touched(job)
  local version = redis.call('HINCRBY', tr.job(job), 'version', 1)
  redis.call('PUBLISH', tr.events, job .. ' ' .. version)
  return version
end

local function drop_shard(shard)
  local key = tr.shard(shard)
  local members = redis.call('HGET', key, 'members')
  if not members then return false end
  local fp = redis.call('HGET', key, 'fp')
  for _, member in ipairs(cjson.decode(members)) do redis.call('SREM', tr.shards(member.job), shard) end
  leave_queue(shard, fp)
  redis.call('ZREM', tr.claimed, shard)
  redis.call('DEL', key)
  return true
end

-- Nothing more is owed to a job that is over or gone: its members leave every shard, and a shard without members vanishes,
-- whether it is claimed or not. A worker that is still at it cannot commit into the shards that a retry makes.
local function disown(job)
  for _, shard in ipairs(redis.call('SMEMBERS', tr.shards(job))) do
    local others = {}
    for _, member in ipairs(cjson.decode(redis.call('HGET', tr.shard(shard), 'members') or '[]')) do
      if member.job ~= job then others[#others + 1] = member end
    end
    if #others == 0 then
      refund(shard)
      drop_shard(shard)
    else
      redis.call('HSET', tr.shard(shard), 'members', cjson.encode(others))
    end
  end
  redis.call('DEL', tr.shards(job), tr.parts(job))
end

local function transition(job, to)
  local from = state_of(job)
  if not from or not TRANSITIONS[from] or not TRANSITIONS[from][to] then return false end
  local key = tr.job(job)
  redis.call('HSET', key, 'state', to)
  if to == 'running' then redis.call('HSETNX', key, 'started', string.format('%.6f', now())) end
  if to == 'queued' then
    redis.call('HDEL', key, 'finished')
    for _, k in ipairs(job_keys(job)) do redis.call('PERSIST', k) end
    local idempotency = redis.call('HGET', key, 'idempotency')
    if idempotency then redis.call('PERSIST', idempotency) end
  end
  if TERMINAL[to] then
    disown(job)
    redis.call('HSET', key, 'finished', string.format('%.6f', now()))
    local ttl = tonumber(redis.call('HGET', key, 'ttl') or '0')
    if ttl > 0 then
      for _, k in ipairs(job_keys(job)) do redis.call('EXPIRE', k, ttl) end
      local idempotency = redis.call('HGET', key, 'idempotency')
      if idempotency then redis.call('EXPIRE', idempotency, ttl) end
    end
  end
  touched(job)
  return true
end

-- A range of items gets its outcome. A range that has one already is left alone.
local function finish_range(job, start, count, failed, tokens, blob)
  local key = tr.job(job)
  local range = start .. ':' .. count
  if redis.call('ZADD', tr.ranges(job), 'NX', start, range) == 0 then return false end
  redis.call('HSET', tr.results(job), start, blob)
  if redis.call('EXISTS', tr.parts(job)) == 1 then
    for index = start, start + count - 1 do redis.call('HDEL', tr.parts(job), string.format('%.0f', index)) end
  end
  local done = redis.call('HINCRBY', key, 'done', count)
  redis.call('HINCRBY', key, 'failed', failed)
  redis.call('HINCRBY', key, 'tokens', tokens)
  redis.call('HSET', key, 'progressed', string.format('%.6f', now()))
  if done == tonumber(redis.call('HGET', key, 'total')) then transition(job, 'succeeded') else touched(job) end
  return true
end

-- A new shard enters the queue; the caller rings its doorbell in the same transaction.
local function queue_shard(shard)
  redis.call('HSET', tr.shard(shard.id), 'state', 'queued', 'fp', shard.fp, 'members', cjson.encode(shard.members),
             'attempts', shard.attempts or 0, 'estimated', shard.estimated or 0, 'front', shard.front and 1 or 0)
  if shard.turn then redis.call('HSET', tr.shard(shard.id), 'turn', shard.turn) end
  enter_queue(shard.id, shard.fp, shard.front)
  for _, member in ipairs(shard.members) do redis.call('SADD', tr.shards(member.job), shard.id) end
end

