"""Templates: how one item becomes one chat for each branch. `registry` finds them, `rendering` fills them in,
and `transcript` puts a conversation into words.

The shared context comes first and the directive last, so that the branches of one item share a long token
prefix which an engine computes once. The paper's own prompt (T-REG, arXiv 2412.02685, Fig. 2) is a picture without
text; the wording here is ours.
"""

from tokenreward.templates.registry import of_one_model, resolve, shipped
from tokenreward.templates.rendering import lengths, needs_response, render
from tokenreward.templates.transcript import transcript

__all__ = ["lengths", "needs_response", "of_one_model", "render", "resolve", "shipped", "transcript"]
