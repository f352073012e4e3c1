"""One hash for chat templates that write the same texts.

A worker puts it into its fingerprint. The trainer computes it of its policy's and refuses labels made under another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tokenreward.schema import digest


def template_hash(source: str, special_tokens: Mapping[str, str], named: Mapping[str, str] | None = None) -> str:
    """Return 16 hex digits of everything that decides which text a conversation becomes.

    Args:
        source: The jinja2 source of the template that is used.
        special_tokens: The special tokens by their role. Those count that the template may write by their role, and the
            one that ends a text; a padding token, say, is given by trainers and changes nothing.
        named: Further templates by their names.
    """
    words = set(re.findall(r"\w+", " ".join([source, *(named or {}).values()])))
    roles = {role: text for role, text in special_tokens.items() if role in words or role == "eos_token"}
    return digest({"template": source, "roles": roles, "named": dict(named or {})})
