"""Responses to prompts from the policy itself, with their token ids: `tokenreward sample`.

`settings` are the paper's; `engines` sample, one a file; `requests` turns prompts into ids and seeds; `sample_file` is
the loop, in segments that survive being killed.
"""

from __future__ import annotations

from tokenreward_trainer.sampling.sample_file import sample_file
from tokenreward_trainer.sampling.settings import Sampling

__all__ = ["Sampling", "sample_file"]
