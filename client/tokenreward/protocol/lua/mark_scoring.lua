-- What the engine of a worker is at, told while something is under suspicion: should the worker die now, it was this.
-- ARGV: worker id, shard id
redis.call('SET', tr.scoring(ARGV[1]), ARGV[2], 'EX', 86400)
return 1
