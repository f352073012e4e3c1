"""The statistics of an audit: `spans` of responses with known errors, `pairs` of preference pairs, and their parts."""
