"""The audit: do the rewards point at the tokens that are wrong, and more so than plain surprisal does?

`sets`, `set_files`, `set_contexts` and `builtin` are what is audited; `plan` decides which labels are, and with which
requests (`contents` tells branches apart by what they say); `fitting` says on which sets each label can be measured.
`scoring` asks the service, `scored` holds its answers, and `tokens` maps character spans to tokens. `measures` are the
statistics; `span_report` and `pair_report` apply them to one set, `auditing` to all sets, and `report` is the outcome.
`verdict` puts it into words, `examples` picks responses to look at, and `output` shows everything. The methods are in
docs/label-quality.md. The service does the scoring; the rest is numpy.
"""
