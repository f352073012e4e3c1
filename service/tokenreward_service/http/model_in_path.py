"""A model's name as a part of a request's path: it may have slashes, and any other character."""

from __future__ import annotations

from starlette.convertors import PathConvertor, register_url_convertor


class _ModelName(PathConvertor):
    """What Starlette's `path` matches, and line breaks, so that each name is looked up and refused as one."""

    regex = "(?s:.*)"


register_url_convertor("model_name", _ModelName())

#: The part of a route's path that is its parameter `model`.
MODEL = "{model:model_name}"
