-- A job ends early; its finished items keep their results. Shards that no other job waits for vanish, and a worker that
-- holds one learns of it when it renews its lease.
-- ARGV: job id. Returns 1, or 0 when the job was over already, or -1 when there is none.
local job = ARGV[1]
if not state_of(job) then return -1 end
return transition(job, 'cancelled') and 1 or 0
