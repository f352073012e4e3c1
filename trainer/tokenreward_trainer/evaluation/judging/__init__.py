"""Pairs of answers before a judge.

`comparisons` says who is compared with whom; `judge` asks an endpoint in the words of `judge_prompt`; `verdict` reads
its reply; `judgements` keeps what it said; `winrate` and `length_control` measure it; `baseline_answers` reads answers
of somebody else.
"""
