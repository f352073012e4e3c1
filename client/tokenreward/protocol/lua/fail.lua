-- The job as a whole cannot go on. ARGV: job id, code, message
local job = ARGV[1]
if not wanted(job) then return 0 end
redis.call('HSET', job_key(job), 'problem_code', ARGV[2], 'problem', ARGV[3])
transition(job, 'failed')
return 1
