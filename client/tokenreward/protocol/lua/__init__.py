"""Every change of state in Redis, one Lua script a file; `_turns.lua` and `_job_transitions.lua` stand in front."""
