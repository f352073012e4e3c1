-- A worker says which shard its engine is at. It does so while it holds a shard that is under suspicion: should the worker
-- die now, the named shard is to blame.
-- ARGV: worker id, shard id
redis.call('SET', tr.scoring(ARGV[1]), ARGV[2], 'EX', 86400)
return 1
