"""Log lines for people (text) or for programs (one JSON object a line, with request, job, shard and worker ids)."""

from __future__ import annotations

import json
import logging
import sys

from tokenreward_service.monitoring.request_log import ACCESS_LOGGER, request_id
from tokenreward_service.settings import LogFormat

#: The fields that a log call may add by `extra=`. No other field is written, so that none can leak.
_FIELDS = ("job", "shard", "worker", "method", "route", "status", "ms")


class JsonLines(logging.Formatter):
    """One JSON object a line; fields without a value are left out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record."""
        line = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request": request_id.get(),
            **{name: getattr(record, name, None) for name in _FIELDS},
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value is not None}, ensure_ascii=False)


def configure(log_format: LogFormat) -> None:
    """Log to standard error. As text, a request has a line only where something went wrong on our side."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger(ACCESS_LOGGER).setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
