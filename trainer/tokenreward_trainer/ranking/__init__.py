"""Best and worst of the sampled responses, by a scorer: `tokenreward rank`.

`groups` reads what was sampled and what a stronger model adds; `pair_selection` picks the pair; `rank_file` is the
loop, in segments that survive being killed.
"""
