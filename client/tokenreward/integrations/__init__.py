"""Where people train: one small module for each trainer, imported only when it is used.

`trl`, `prime_rl`, `slime` (and miles), `verl`, `skyrl` and `openrlhf` fit a trainer's own hooks; `datasets_map` and
`ray_data` fit the two libraries that move data. What they share is `labeler`, which gets rewards for items, and
`teacher`, which gets log-probs for token ids. docs/integrations.md has an example of each.
"""
