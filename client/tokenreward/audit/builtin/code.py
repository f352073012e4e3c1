"""Code off by one: a small Python function in which one bound, index, start value or comparison is wrong.

Every function comes with a call and its right result, so that the tests can run both twins: the clean one gives that
result, and no corrupted one does.
"""

from __future__ import annotations

from itertools import islice

from tokenreward.audit.builtin.base import Twin, marks, material, twin

COUNT = 50


def twins() -> list[Twin]:
    """Return every function with its first error, then those that offer a second one."""
    functions = material("code")["functions"]
    offered = [(function, mark) for mark in (0, 1) for function in functions if mark < marks(function["body"])]
    return [
        twin(f"code-{number:02}", f"Write a Python function that {function['task']}.", function["body"], mark)
        for number, (function, mark) in enumerate(islice(offered, COUNT))
    ]
