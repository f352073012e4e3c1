"""TODO: what this module owns."""

from __future__ import annotations

_PAGE = 32
