"""Drawing a labeled file: which tokens were rewarded and which punished.

`rows` reads the file, `cells` turns a response into drawable pieces, `visible` makes hostile text harmless,
`scale` says how strong a colour is; `terminal` and `page` draw.
"""
