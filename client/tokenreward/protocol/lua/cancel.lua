-- Nobody wants the rest of a job. Shards that only it waits for vanish from the queue; a worker inside one learns it
-- when it renews its lease. ARGV: job id. Returns 1, or 0 when the job was over already, or -1 when there is none.
local job = ARGV[1]
if not state_of(job) then return -1 end
if not transition(job, 'cancelled') then return 0 end
for _, shard in ipairs(redis.call('SMEMBERS', job_key(job) .. ':shards')) do
  local held = redis.call('HMGET', shard_key(shard), 'state', 'members')
  if held[1] == 'queued' then
    local others = false
    for _, member in ipairs(cjson.decode(held[2])) do others = others or wanted(member.job) end
    if not others then drop_shard(shard) end
  end
end
return 1
