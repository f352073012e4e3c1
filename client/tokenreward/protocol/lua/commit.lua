-- The results of a shard are stored, once: a second commit of it changes nothing and returns 0.
-- Members that left the shard after it was claimed get nothing: their job is over, or was retried with other shards.
-- ARGV: shard id, then (job, start, count, failed, tokens, blob) of each member
local members = redis.call('HGET', tr.shard(ARGV[1]), 'members')
if not members then return 0 end
local owed = {}
for _, member in ipairs(cjson.decode(members)) do owed[member.job] = true end
for i = 2, #ARGV, 6 do
  if owed[ARGV[i]] and wanted(ARGV[i]) then
    -- A shard that was re-queued while its first worker lived on is committed by that worker without a new claim.
    if state_of(ARGV[i]) == 'queued' then transition(ARGV[i], 'running') end
    finish_range(ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]),
                 ARGV[i + 5])
  end
end
drop_shard(ARGV[1])
return 1
