-- New shards enter the queue. ARGV: shards as JSON [{id, fp, members: [{job, slice, offset, count}], estimated, front}]
for _, shard in ipairs(cjson.decode(ARGV[1])) do queue_shard(shard) end
return 1
