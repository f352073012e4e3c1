"""Python imports this in every process that has its folder on PYTHONPATH: EngineCore's too."""

import importlib.util
import os

if os.environ.get("TRITON_INTERPRET") == "1" and importlib.util.find_spec("triton"):
    import triton_on_cpu  # noqa: F401
