"""The audit: do the rewards point at the tokens that are wrong, and more so than plain surprisal does?

`sets`, `set_files`, `set_contexts` and `builtin` are what is audited, and `converters` read other people's sets. `plan`
decides which labels are measured, and with which requests (`contents` tells branches apart by what they say);
`served_models` says which models are asked, and `fitting` on which sets each label can be measured. `scoring` asks the
service, `score_store` keeps its answers on disk, `scored` holds them, and `tokens` maps character spans to tokens.
`measures` are the statistics; `span_report` and `pair_report` apply them to one set, `overall` takes means over sets,
`auditing` puts it together, and `report` is the outcome.
`verdict` puts it into words, `examples` picks responses to look at, and `output` shows everything. The methods are in
docs/label-quality.md. The service does the scoring; the rest is numpy.
"""
