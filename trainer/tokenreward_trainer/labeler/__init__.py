"""Labelers that are trained: a token classifier (TLCR) and a corrector (RLMEC).

`edits` are what both learn from: a worse text, and what became of it. They are read from files (`edit_files`), made of
clean texts by putting errors in (`corruptions`), or made by rule (`worked_sums`). `token_classes` and `corrections`
turn them into token ids with targets; `classifier` and `corrector` are the models; `training` is the loop, and `run`
puts everything together and writes what the labeler was made of.
"""
