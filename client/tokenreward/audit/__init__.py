"""The audit: do the rewards point at the tokens that are wrong, and more so than plain surprisal does?

`sets` and `builtin` say what is audited, `plan` which labels, `scoring` asks the service, `tokens` maps character spans
to tokens, `ranks` and `bootstrap` hold the statistics' machinery, `spans`, `pairs` and `groups` the statistics, `study`
puts them together, `verdict` says them in words, and `table`, `page` and `report` show them. METHODS are in
docs/label-quality.md. Pure numpy; the service does the scoring.
"""
