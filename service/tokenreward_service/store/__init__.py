"""The job store: jobs in, snapshots and results out. Redis holds the state; every change of it is one Lua script."""
