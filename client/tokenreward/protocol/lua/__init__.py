"""Every change of state in Redis, one Lua script a file; `_job_transitions.lua` stands in front of each."""
