"""The media types of bodies and answers, beside that of problems (`problems.py`)."""

from __future__ import annotations

JSON = "application/json"
NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"
EVENTS = "text/event-stream"
