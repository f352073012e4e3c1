"""Responses to prompts from the policy itself, with their token ids: `tokenreward sample`.

`settings` are the paper's; `engines` sample, one a file; `requests` turns prompts into ids and seeds; `sample_file` is
the loop, in segments that survive being killed.
"""
