"""TODO: what this module owns."""

from __future__ import annotations

_RENEW_EVERY = 0.5
