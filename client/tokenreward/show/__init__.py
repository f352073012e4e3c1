"""Drawing a labeled file: which tokens were rewarded and which punished.

`rows` prepares its rows, `cells` turns a response into drawable pieces, `scale` says how strong a colour is, and
`legend` has the words. `terminal` and `page` draw heat maps (`heat_map` is one response as HTML), `statistics_svg` and
`statistics_page` the statistics. Only drawing code
imports this package.
"""
