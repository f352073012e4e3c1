"""Drawing a labeled file: which tokens were rewarded and which punished.

`rows` prepares its rows, `cells` turns a response into drawable pieces, `scale` says how strong a colour is, and
`legend` has the words. `terminal` and `page` draw the heat map, `statistics_svg` the statistics. Only drawing code
imports this package.
"""
